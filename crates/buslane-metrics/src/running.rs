//! The thread that publishes at each interval.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The thread of a [`Reporter`](crate::Reporter). It ends when this is dropped.
///
/// The drop waits for the thread, which publishes once more.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// let running = buslane_metrics::observe("telemetry", &bus).spawn()?;
/// // As long as the service runs.
/// drop(running);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the thread ends when this is dropped"]
pub struct Running {
    /// `None` only while this is dropped.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The series of the last round.
    series: Arc<AtomicUsize>,
}

impl Running {
    /// Starts a thread that calls `publish` until it returns `false`. It keeps the number of series in
    /// `series`.
    pub(crate) fn start(
        every: Duration,
        series: Arc<AtomicUsize>,
        mut publish: impl FnMut() -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("buslane-metrics".to_owned()).spawn(move || {
            while publish() {
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    publish();
                    return;
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), series })
    }

    /// Returns how many series the recorder was given in the last round, as
    /// [`Reporter::publish_now`](crate::Reporter::publish_now) does.
    ///
    /// It is 0 before the first round has ended, and as long as nothing is exported: if no recorder is
    /// installed, or only one of another major version of `metrics`.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let running = buslane_metrics::observe("telemetry", &bus).spawn()?;
    /// assert_eq!(running.series(), 0, "no recorder is installed");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn series(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    /// Returns `true` if the thread has ended, because the bus is gone or a recorder has panicked.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let running = buslane_metrics::observe("telemetry", &bus).spawn()?;
    /// assert!(!running.is_finished());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Inside a recorder, on the thread itself, there is nothing to wait for.
            if thread.thread().id() != thread::current().id() {
                // A panic of the recorder has been reported by the thread.
                let _ = thread.join();
            }
        }
    }
}
