//! A real server in a folder of its own, started and ended by the tests.

use super::{LIMIT, wait_for};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The variable that allows the tests to start a server. `.ci/nats` sets it.
const ALLOWED: &str = "BUSLANE_NATS";

/// A running server.
#[derive(Debug)]
pub(crate) struct Daemon {
    folder: PathBuf,
    url: String,
    port: u16,
    child: Option<Child>,
}

/// Returns why there is no server.
fn obstacle() -> Option<String> {
    if std::env::var_os(ALLOWED).is_none() {
        return Some(format!("`bash .ci/nats` runs them, with {ALLOWED} set"));
    }
    let found =
        Command::new("nats-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    (!found.is_ok_and(|status| status.success())).then(|| "there is no nats-server".to_owned())
}

impl Daemon {
    /// Starts a server with some more lines of settings.
    pub(crate) fn start(more: &str) -> Option<Self> {
        let mut daemon = Self::prepare(more)?;
        daemon.start_again();
        Some(daemon)
    }

    /// Chooses the port and the folder of a server that is not started yet.
    pub(crate) fn prepare(more: &str) -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if let Some(reason) = obstacle() {
            // Once, and not captured as what a test prints would be.
            static NOTICE: Once = Once::new();
            NOTICE.call_once(|| {
                let _ = writeln!(io::stderr(), "skipped, no test of a real server: {reason}");
            });
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("buslane-nats-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "host: 127.0.0.1\nport: {port}\n{more}\n\
             jetstream {{ store_dir: \"{}\", max_memory_store: 64M, max_file_store: 1G }}\n",
            folder.join("store").display()
        );
        fs::write(folder.join("server.conf"), settings).unwrap();
        Some(Self { url: format!("nats://127.0.0.1:{port}"), folder, port, child: None })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the server, on the same port and the same store, and waits until it is ready.
    pub(crate) fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let child = Command::new("nats-server")
            .arg("-c")
            .arg(self.folder.join("server.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Ctrl-C reaches the tests alone, which end the server.
            .process_group(0)
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait_for(|| self.answers());
    }

    /// Ends the server without its knowledge.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops the server, and returns when no thread of it runs: then it answers nothing until `CONT`.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        wait_for(|| self.is_stopped());
    }

    fn is_stopped(&self) -> bool {
        let Some(child) = &self.child else { return true };
        let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        threads.flatten().all(|thread| {
            // The state comes after the name in parentheses. A thread may have ended meanwhile.
            let text = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            text.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// Sends a signal, such as `STOP` and `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let Some(child) = &self.child else { return };
        let id = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Returns whether the server greets a client and has JetStream.
    fn answers(&self) -> bool {
        let Ok(connection) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let _ = connection.set_read_timeout(Some(LIMIT.min(Duration::from_secs(1))));
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).is_ok() && line.contains("\"jetstream\":true")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A stopped process does not see another signal.
        self.signal("CONT");
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
