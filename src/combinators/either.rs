//! A sink that is one of two types.

use crate::error::{InvalidConfig, WriteError};
use crate::sink::lane::{Internal, Lane};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::Disposition;

/// A sink that is one of two types, for a choice that a setting makes. It is the sink that it holds, and nothing
/// besides.
///
/// Where there are more than two, `Box<dyn Sink<E>>` reads better and costs a virtual call for each write without a
/// lane.
///
/// # Examples
/// ```
/// use buslane::{Bus, Channel, noop, SinkExt};
/// use buslane::sink::Either;
/// let verbose = true;
/// let (channel, mut receiver) = Channel::bounded(8)?;
/// let sink = if verbose { Either::Left(channel) } else { Either::Right(noop()) };
/// let bus = Bus::new();
/// bus.add(sink.filter(|n: &u32| *n > 1))?;
/// bus.publish(2)?;
/// assert_eq!(receiver.recv()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "an either does nothing until it is written to or added to a bus"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Either<A, B> {
    /// The one.
    Left(A),
    /// The other.
    Right(B),
}

/// Calls the sink that is there.
macro_rules! either {
    ($self:expr, $sink:ident => $call:expr) => {
        match $self {
            Either::Left($sink) => $call,
            Either::Right($sink) => $call,
        }
    };
}

impl<E, A: Sink<E>, B: Sink<E>> Sink<E> for Either<A, B> {
    #[inline]
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        either!(self, sink => sink.write(event))
    }

    #[inline]
    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        either!(self, sink => sink.offer(event))
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        either!(self, sink => visit.sink(sink));
    }

    fn make_lane(&self, internal: Internal) -> Result<Option<Lane<E>>, InvalidConfig> {
        either!(self, sink => sink.make_lane(internal))
    }

    fn makes_lanes(&self, internal: Internal) -> bool {
        either!(self, sink => sink.makes_lanes(internal))
    }

    fn key(&self) -> Option<SinkKey> {
        either!(self, sink => sink.key())
    }
}
