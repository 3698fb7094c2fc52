//! A real engine in a folder of its own, started and ended by the tests.

use super::api;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};
use test_support::limit::scaled;

/// The variable that allows the tests to start an engine. `.ci/docker` sets it.
const ALLOWED: &str = "BUSLANE_ENGINE";
/// The file with the id of the engine's containerd, which ends with it.
const CONTAINERD: &str = "exec/containerd/containerd.pid";
/// The time limit for a start or an end of the engine.
const LIMIT: Duration = scaled(Duration::from_secs(60));

/// A running engine.
#[derive(Debug)]
pub(crate) struct Daemon {
    folder: PathBuf,
    socket: PathBuf,
    child: Child,
}

/// The engine that the tests of this program share, one test after another. It ends with the last
/// test that holds it.
pub(crate) struct Shared(Arc<Mutex<Daemon>>);

impl Shared {
    /// Returns the engine, or `None` with a notice why this machine has none.
    pub(crate) fn get() -> Option<Self> {
        static SHARED: Mutex<Weak<Mutex<Daemon>>> = Mutex::new(Weak::new());
        if let Some(reason) = obstacle() {
            // Once, and not captured as what a test prints would be.
            static NOTICE: Once = Once::new();
            NOTICE.call_once(|| {
                let _ = writeln!(io::stderr(), "skipped, no test of a real engine: {reason}");
            });
            return None;
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let daemon = shared.upgrade().unwrap_or_else(|| Arc::new(Mutex::new(Daemon::start())));
        *shared = Arc::downgrade(&daemon);
        Some(Self(daemon))
    }

    /// Waits until no other test uses the engine.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Daemon> {
        let mut daemon = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        daemon.revive();
        daemon
    }
}

/// Returns why there is no engine.
fn obstacle() -> Option<String> {
    if std::env::var_os(ALLOWED).is_none() {
        return Some(format!("`bash .ci/docker` runs them, with {ALLOWED} set"));
    }
    let id = Command::new("id").arg("-u").output().map(|output| output.stdout);
    if id.ok().as_deref() != Some(b"0\n") {
        return Some("this user is not root".to_owned());
    }
    let found = Command::new("dockerd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    (!found.is_ok_and(|status| status.success())).then(|| "there is no dockerd".to_owned())
}

impl Daemon {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("buslane-dockerd-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let child = spawn(&folder);
        let daemon = Self { socket: folder.join("docker.sock"), folder, child };
        daemon.wait_ready();
        daemon
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Asks the engine to end, and waits for that.
    pub(crate) fn terminate(&mut self) {
        signal(self.child.id(), "TERM");
        self.wait_ended();
    }

    /// Ends the engine without its knowledge.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait_ended();
    }

    /// Starts the engine again after its end, and waits until it answers.
    pub(crate) fn start_again(&mut self) {
        self.spawn_again();
        self.wait_ready();
    }

    /// Starts the engine again if a test has left it ended.
    fn revive(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            self.start_again();
        }
    }

    fn spawn_again(&mut self) {
        // What a killed engine leaves. The next one refuses to start, or waits for a containerd that
        // is no more, while there is a process with that id, if only one that no parent waits for.
        let _ = fs::remove_file(self.folder.join("pid"));
        if self.containerd().is_none() {
            let _ = fs::remove_file(self.folder.join(CONTAINERD));
        }
        self.child = spawn(&self.folder);
    }

    fn wait_ready(&self) {
        let answers = || {
            api::request(&self.socket, "GET /_ping", "text/plain", b"")
                .is_ok_and(|answer| answer.status == 200)
        };
        assert!(poll(answers), "dockerd does not answer:\n{}", self.log());
    }

    fn wait_ended(&mut self) {
        let ended = poll(|| !matches!(self.child.try_wait(), Ok(None)));
        assert!(ended, "dockerd does not end:\n{}", self.log());
    }

    /// Returns the id of the engine's containerd, if that runs.
    fn containerd(&self) -> Option<u32> {
        let id = fs::read_to_string(self.folder.join(CONTAINERD)).ok()?.trim().parse().ok()?;
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        (!status.contains("State:\tZ")).then_some(id)
    }

    /// Returns the end of what the engine reports about itself.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        if !poll(|| !matches!(self.child.try_wait(), Ok(None))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if let Some(id) = self.containerd() {
            signal(id, "KILL");
        }
        // The engine mounts its folder on itself, once for each start.
        let data = self.folder.join("data");
        let unmount = || Command::new("umount").arg(&data).stderr(Stdio::null()).status();
        while unmount().is_ok_and(|status| status.success()) {}
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts dockerd with all of its state in a folder, without networks. A containerd of the system,
/// which it would use if there is one, has its containers in a namespace of the test's own.
fn spawn(folder: &Path) -> Child {
    let namespace = format!("buslane-{}", std::process::id());
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    Command::new("dockerd")
        .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"])
        .arg(format!("--containerd-namespace={namespace}"))
        .arg(format!("--containerd-plugins-namespace={namespace}-plugins"))
        .arg(format!("--data-root={}", folder.join("data").display()))
        .arg(format!("--exec-root={}", folder.join("exec").display()))
        .arg(format!("--pidfile={}", folder.join("pid").display()))
        .arg(format!("--host=unix://{}", folder.join("docker.sock").display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        // Ctrl-C reaches the tests alone, which end the engine.
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Sends a signal to a process.
pub(crate) fn signal(process: u32, name: &str) {
    let _ =
        Command::new("kill").args([&format!("-{name}"), &process.to_string()]).stderr(Stdio::null()).status();
}

/// Waits for another process. Returns whether the condition held in time.
fn poll(mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > LIMIT {
            return false;
        }
        // Nothing else tells of it, and the process needs this processor.
        thread::sleep(Duration::from_millis(10));
    }
    true
}
