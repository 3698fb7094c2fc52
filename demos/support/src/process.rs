//! Processes of a program that starts itself again: how they are started, killed, stopped and
//! resumed, and why none outlives the process that started it.
//!
//! - [`Process`] kills its process when it is dropped, also after a failure or Ctrl-C.
//! - A child ends when its standard input ends, and that is a pipe from this process.
//! - A stopped child reads nothing. On Linux the kernel kills it when its parent ends. On another
//!   Unix it is in a process group of its own, which the kernel resumes and hangs up.

use crate::Failure;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often the end of a process is polled.
const POLL: Duration = Duration::from_millis(2);

/// A process that this one started, and ends.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts this program again, with these arguments and `--parent` with the id of this process. Its
    /// standard output is discarded. The calling thread must not end before the process does.
    ///
    /// # Errors
    /// [`Failure::Setup`] when it cannot be started.
    pub fn of_this_program<A: AsRef<OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, Failure> {
        let cannot = |error| Failure::setup(format!("cannot start {name}"), error);
        let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
        command.args(arguments).args(["--parent", &std::process::id().to_string()]).stdout(Stdio::null());
        Self::start(name, &mut command)
    }

    /// Starts a command.
    ///
    /// # Errors
    /// [`Failure::Setup`] when it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self, Failure> {
        command.stdin(Stdio::piped());
        // Ctrl-C is for the parent alone, which ends its children.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        command.spawn().map(Self).map_err(|error| Failure::setup(format!("cannot start {name}"), error))
    }

    /// The id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Returns the exit status if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Ends the process without a notice, whatever it is doing.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }

    /// Asks the process to end, and returns whether it did so within the limit and without an error.
    #[must_use]
    pub fn end(mut self, limit: Duration) -> bool {
        drop(self.0.stdin.take());
        let start = Instant::now();
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) if start.elapsed() < limit => std::thread::sleep(POLL),
                _ => return false,
            }
        }
    }

    /// Stops the process, until it is resumed: it does nothing, and its connections stay open.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn stop(&self) -> io::Result<()> {
        signal::stop(self.id())
    }

    /// Resumes a stopped process.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn resume(&self) -> io::Result<()> {
        signal::resume(self.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

/// Called by a child: makes its process end when `parent` does, even while it is stopped.
///
/// # Errors
/// [`Failure::Setup`] when the parent has ended already, or cannot be followed.
pub fn end_with_parent(parent: Option<NonZeroU32>) -> Result<(), Failure> {
    signal::end_with_parent()
        .map_err(|error| Failure::setup("cannot follow the end of the parent", error))?;
    // The parent may have ended before.
    if parent.is_some_and(|parent| signal::parent().is_some_and(|actual| actual != parent.get())) {
        return Err(Failure::Setup("the parent has ended".into()));
    }
    Ok(())
}

/// Called by a child: waits for the end of its standard input.
pub fn wait_for_end() {
    // An error is an end, too.
    let _ = io::stdin().lock().read_to_end(&mut Vec::new());
}

#[cfg(unix)]
mod signal {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::{Pid, getppid};
    use std::io;

    pub(super) fn stop(id: u32) -> io::Result<()> {
        send(id, Signal::SIGSTOP)
    }

    pub(super) fn resume(id: u32) -> io::Result<()> {
        send(id, Signal::SIGCONT)
    }

    fn send(id: u32, signal: Signal) -> io::Result<()> {
        let id = i32::try_from(id).map_err(io::Error::other)?;
        Ok(kill(Pid::from_raw(id), signal)?)
    }

    pub(super) fn parent() -> Option<u32> {
        u32::try_from(getppid().as_raw()).ok()
    }

    #[cfg(target_os = "linux")]
    pub(super) fn end_with_parent() -> io::Result<()> {
        Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn end_with_parent() -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(unix))]
mod signal {
    use std::io;

    pub(super) fn stop(_: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn resume(_: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn parent() -> Option<u32> {
        None
    }

    pub(super) fn end_with_parent() -> io::Result<()> {
        Ok(())
    }
}
