//! When the service ends: SIGINT, SIGTERM, or the end of standard input. A second signal ends the
//! process at once.
//!
//! The signals have a thread of their own, so that the second one is heard whatever the service is
//! waiting for.

use demo_support::Failure;
use std::io::{self, Read};
use std::thread;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// The exit code that a shell reports for a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Resolves to the reason of the end.
pub(crate) type Ending = oneshot::Receiver<&'static str>;

/// Listens for signals, and with `until_stdin_ends` for the end of standard input.
pub(crate) fn listen(until_stdin_ends: bool) -> Result<Ending, Failure> {
    let cannot = |error| Failure::setup("cannot listen for signals", error);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let signals = {
        let _inside = runtime.enter();
        Signals::new().map_err(cannot)?
    };
    let stdin = until_stdin_ends.then(end_of_stdin).transpose().map_err(cannot)?;
    let (end, ending) = oneshot::channel();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(hear(signals, stdin, end)))
        .map_err(cannot)?;
    Ok(ending)
}

/// Requests the end once, and ends the process at the next signal.
async fn hear(
    mut signals: Signals,
    stdin: Option<oneshot::Receiver<()>>,
    end: oneshot::Sender<&'static str>,
) {
    let stdin = async {
        match stdin {
            // The sender is only dropped.
            Some(stdin) => drop(stdin.await),
            None => std::future::pending().await,
        }
    };
    let reason = tokio::select! {
        signal = signals.next() => signal,
        () = stdin => "the end of standard input",
    };
    // The service may have failed meanwhile.
    let _ = end.send(reason);
    signals.next().await;
    std::process::exit(INTERRUPTED);
}

/// Resolves when standard input has ended.
fn end_of_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    let read = move || {
        // An error is an end, too.
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        drop(ended);
    };
    thread::Builder::new().name("stdin".to_owned()).spawn(read)?;
    Ok(end)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}
