//! What a source is: the traits, and the items that a connection reads.

use super::fault::Fault;
use super::session::Session;
use super::update::Gap;
use crate::error::{BoxError, ConfigError};
use std::fmt;

/// A stream of events that comes from outside the process, and can be connected to again.
///
/// A source does no supervision of its own. It connects when it is asked to, and reports what it
/// reads. The [`Monitor`](crate::source::Monitor) decides when to connect again.
///
/// # Contract
/// - A call that blocks ends soon after the monitor was stopped: see [`Session`].
/// - An event's token names the position *after* the event. A connection from this token begins
///   with the next event.
/// - A connection is dropped before the next one is opened.
/// - A source may panic. That counts as a [transient fault](Fault::Transient).
///
/// # Examples
/// A source that counts up, and ends each connection after three numbers:
/// ```
/// use buslane::source::{Connection, Fault, Item, Monitor, Session, Source, Update};
/// use buslane::Channel;
///
/// struct Numbers;
/// struct Open { next: u64, last: u64 }
///
/// impl Source for Numbers {
///     type Event = u64;
///     type Token = u64;
///     type Connection = Open;
///     fn connect(&mut self, from: Option<&u64>, _session: &Session) -> Result<Open, Fault> {
///         let next = from.copied().unwrap_or(0);
///         Ok(Open { next, last: next + 3 })
///     }
/// }
///
/// impl Connection for Open {
///     type Event = u64;
///     type Token = u64;
///     fn resumed(&mut self) -> Option<bool> {
///         Some(self.next > 0) // nothing is missing between two connections
///     }
///     fn next(&mut self) -> Result<Option<Item<u64, u64>>, Fault> {
///         if self.next == self.last {
///             return Ok(None);
///         }
///         self.next += 1;
///         Ok(Some(Item::Event(self.next - 1, self.next)))
///     }
/// }
///
/// let (channel, mut receiver) = Channel::lossless(64)?;
/// let monitor = Monitor::builder(Numbers).spawn(channel)?;
/// let mut numbers = receiver.iter().filter_map(Update::into_event);
/// assert!(numbers.by_ref().take(7).eq(0..7)); // over three connections
/// drop(numbers);
/// assert!(monitor.stop().is_done());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Source: Send + 'static {
    /// The events.
    type Event: Send + 'static;
    /// A position in the stream, from which a later connection can continue.
    type Token: Clone + Send + Sync + 'static;
    /// An open connection. The thread of the monitor opens, reads and drops it.
    type Connection: Connection<Event = Self::Event, Token = Self::Token>;

    /// Opens a connection that continues at the token, or one that begins where the source wants.
    ///
    /// It may block, and then honors the session.
    ///
    /// # Errors
    /// A [`Fault`], which decides whether the monitor tries again.
    fn connect(&mut self, from: Option<&Self::Token>, session: &Session) -> Result<Self::Connection, Fault>;

    /// Checks the settings of the source. Called once, when the monitor is started.
    ///
    /// Default: they are valid.
    ///
    /// # Errors
    /// [`ConfigError`] for the first invalid setting: [`ConfigError::other`] creates one.
    fn validate(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

/// An open connection of a [`Source`].
pub trait Connection {
    /// The events.
    type Event;
    /// A position in the stream.
    type Token;

    /// Returns whether the connection continues after the token that it was opened with, so that no
    /// event is missing. Called once, before the first [`next`](Self::next).
    ///
    /// `None` means that it is not known yet: the connection then returns
    /// [`Item::Resumed`] before its first event. Default: `Some(false)`, so the monitor reports a
    /// gap at each connection but the first.
    fn resumed(&mut self) -> Option<bool> {
        Some(false)
    }

    /// Waits for the next item. `None` means that the other side has ended the connection.
    ///
    /// # Errors
    /// A [`Fault`], which ends the connection.
    #[expect(clippy::type_complexity, reason = "an alias would hide what an implementation returns")]
    fn next(&mut self) -> Result<Option<Item<Self::Event, Self::Token>>, Fault>;

    /// Checks that the other side is still there. Called after each [`Item::Silent`].
    ///
    /// Default: it is.
    ///
    /// # Errors
    /// A [`Fault`], which ends the connection.
    fn check(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// What a [`Connection`] reads.
#[non_exhaustive]
pub enum Item<E, T> {
    /// An event, and the position after it.
    Event(E, T),
    /// Whether the connection continues after its token, if [`Connection::resumed`] did not know.
    Resumed(bool),
    /// Events are missing here.
    Gap(Gap),
    /// No event, but a later position, from which to continue.
    Alive(T),
    /// An event that was read before, and is not forwarded again; with the position after it.
    Duplicate(T),
    /// Something that cannot be decoded, and the position after it, if the source knows one. The
    /// monitor counts it and reports a gap of one event; the connection continues. Without a
    /// position, a later connection may read it again.
    Undecodable(BoxError, Option<T>),
    /// Nothing was read for [`Session::silence`]. The monitor calls [`Connection::check`].
    Silent,
}

/// Omits events and tokens, which need not be `Debug`.
impl<E, T> fmt::Debug for Item<E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(..) => f.write_str("Event(..)"),
            Self::Resumed(resumed) => f.debug_tuple("Resumed").field(resumed).finish(),
            Self::Gap(gap) => f.debug_tuple("Gap").field(gap).finish(),
            Self::Alive(_) => f.write_str("Alive(..)"),
            Self::Duplicate(_) => f.write_str("Duplicate(..)"),
            Self::Undecodable(error, _) => f.debug_tuple("Undecodable").field(error).finish_non_exhaustive(),
            Self::Silent => f.write_str("Silent"),
        }
    }
}
