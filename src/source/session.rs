//! The stop of a monitor, as its source sees it: a flag, interrupts, and waits that it ends.
//!
//! # Protocol
//! A blocked call of a source ends when the monitor is stopped, because the source registers how to
//! interrupt it ([`Session::on_stop`]). The flag and the list of interrupts are under one lock:
//!
//! - S1: an interrupt is registered before the stop, and the stop takes it off the list and calls
//!   it; or it is registered after the stop, and the registration calls it. So each interrupt that
//!   was not withdrawn first is called exactly once, however the two threads meet.
//! - S2: interrupts are user code, so they are called after the lock was released.
//! - S3: the worker checks the flag under the same lock before each attempt to connect. So none
//!   begins after the stop, and what an earlier one registers falls under S1.
//!
//! Waits go through a [`Pause`], which the stop interrupts for good.

use crate::deadline::moment_after;
use crate::sync::{Mutex, lock};
use crate::time::{Clock, Pause, SystemClock};
use crate::wait::context::{caught, dispose, quietly};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The run of a monitor, as its source sees it: whether it was stopped, and what a stop interrupts.
///
/// A source uses it in each call that blocks. Clones belong to the same monitor, so a connection
/// may keep one.
///
/// # Examples
/// A blocked read ends when the monitor is stopped, since the interrupt shuts the socket down:
/// ```
/// use buslane::source::{Connection, Fault, Item, Session, Source, StopHook};
/// use std::io::Read;
/// use std::net::{Shutdown, TcpStream};
///
/// struct Bytes;
/// struct Open { stream: TcpStream, _interrupt: StopHook }
///
/// impl Source for Bytes {
///     type Event = u8;
///     type Token = ();
///     type Connection = Open;
///     fn connect(&mut self, _from: Option<&()>, session: &Session) -> Result<Open, Fault> {
///         let stream = TcpStream::connect("127.0.0.1:9")?;
///         let other = stream.try_clone()?;
///         let interrupt = session.on_stop(move || drop(other.shutdown(Shutdown::Both)));
///         Ok(Open { stream, _interrupt: interrupt })
///     }
/// }
///
/// impl Connection for Open {
///     type Event = u8;
///     type Token = ();
///     fn next(&mut self) -> Result<Option<Item<u8, ()>>, Fault> {
///         let mut byte = [0];
///         let count = self.stream.read(&mut byte)?;
///         Ok((count > 0).then_some(Item::Event(byte[0], ())))
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Session(Arc<SessionCore>);

struct SessionCore {
    pause: Arc<Pause>,
    clock: Arc<dyn Clock>,
    silence: Duration,
    hooks: Mutex<Hooks>,
}

type Interrupt = Box<dyn FnOnce() + Send>;

struct Hooks {
    stopped: bool,
    /// The number of the next interrupt.
    next: u64,
    list: Vec<(u64, Interrupt)>,
}

impl Session {
    pub(super) fn new(clock: Arc<dyn Clock>, silence: Duration) -> Self {
        let hooks = Mutex::new(Hooks { stopped: false, next: 0, list: Vec::new() });
        Self(Arc::new(SessionCore { pause: Arc::new(Pause::new()), clock, silence, hooks }))
    }

    /// Returns `true` once the monitor was asked to stop.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{Fault, Session};
    /// fn read_all(session: &Session) -> Result<(), Fault> {
    ///     while !session.is_stopped() {
    ///         // read a little
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        lock(&self.0.hooks).stopped
    }

    /// Registers how a blocked call is interrupted.
    ///
    /// The thread that stops the monitor calls `interrupt` once. If the monitor was stopped before,
    /// this call does. A panic in it is caught. Dropping the returned hook withdraws it.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{Session, StopHook};
    /// use std::net::{Shutdown, TcpStream};
    /// fn interruptible(session: &Session, stream: &TcpStream) -> std::io::Result<StopHook> {
    ///     let other = stream.try_clone()?;
    ///     Ok(session.on_stop(move || drop(other.shutdown(Shutdown::Both))))
    /// }
    /// ```
    pub fn on_stop(&self, interrupt: impl FnOnce() + Send + 'static) -> StopHook {
        let interrupt: Interrupt = Box::new(interrupt);
        {
            let mut hooks = lock(&self.0.hooks);
            if !hooks.stopped {
                let number = hooks.next;
                hooks.next += 1;
                hooks.list.push((number, interrupt));
                return StopHook(Some((self.clone(), number)));
            }
        }
        // S1: the stop came first, and has emptied the list.
        quietly(interrupt);
        StopHook(None)
    }

    /// Waits by the clock of the monitor. Returns `false` if the monitor was stopped.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{Fault, Session};
    /// use std::time::Duration;
    /// fn poll(session: &Session, mut has_news: impl FnMut() -> bool) -> Result<(), Fault> {
    ///     while !has_news() {
    ///         if !session.wait(Duration::from_millis(200)) {
    ///             return Err(Fault::transient("the monitor was stopped"));
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use = "after a stop, the source must return"]
    pub fn wait(&self, duration: Duration) -> bool {
        let now = self.now();
        self.wait_until(now, moment_after(now, duration));
        !self.is_stopped()
    }

    /// Returns the time of the monitor's clock.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Session;
    /// use std::time::Duration;
    /// fn deadline(session: &Session) -> std::time::Instant {
    ///     session.now() + Duration::from_secs(5)
    /// }
    /// ```
    #[must_use]
    pub fn now(&self) -> Instant {
        // The clock is user code. If it panics, the system's time serves.
        caught(|| self.0.clock.now()).unwrap_or_else(|_| SystemClock.now())
    }

    /// Returns the time without news after which a connection returns
    /// [`Item::Silent`](crate::source::Item::Silent), if it can.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Session;
    /// use std::net::TcpStream;
    /// fn limit_reads(session: &Session, stream: &TcpStream) -> std::io::Result<()> {
    ///     stream.set_read_timeout(Some(session.silence()))
    /// }
    /// ```
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.0.silence
    }

    /// Waits by the clock until `moment`, or until the stop.
    pub(super) fn wait_until(&self, now: Instant, moment: Instant) {
        let SessionCore { pause, clock, .. } = &*self.0;
        if caught(|| clock.wait_until(moment, pause)).is_err() {
            let wait = moment.saturating_duration_since(now);
            SystemClock.wait_until(moment_after(SystemClock.now(), wait), pause);
        }
    }

    /// Returns whether a stop has begun, by one load. The stop interrupts the pause after it has set
    /// the flag, so a read that begins in between falls under S1.
    #[inline]
    pub(super) fn is_stopping(&self) -> bool {
        self.0.pause.is_interrupted()
    }

    /// Stops the session, and interrupts what blocks in it. The first call decides.
    pub(super) fn stop(&self) {
        let interrupts = {
            let mut hooks = lock(&self.0.hooks);
            hooks.stopped = true;
            std::mem::take(&mut hooks.list)
        };
        self.0.pause.interrupt();
        for (_, interrupt) in interrupts {
            quietly(interrupt);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

/// A registered interrupt; dropping it withdraws the interrupt.
///
/// Made by [`Session::on_stop`]. An interrupt that the stop is already calling continues.
#[must_use = "dropping the hook withdraws the interrupt"]
pub struct StopHook(Option<(Session, u64)>);

impl Drop for StopHook {
    fn drop(&mut self) {
        if let Some((session, number)) = self.0.take() {
            let withdrawn = {
                let mut hooks = lock(&session.0.hooks);
                let index = hooks.list.iter().position(|(known, _)| *known == number);
                index.map(|index| hooks.list.swap_remove(index))
            };
            dispose(withdrawn);
        }
    }
}

impl fmt::Debug for StopHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopHook")
    }
}
