//! How many receivers share the events of a channel: one, or several.

use crate::mailbox::intake::Intake;
use crate::mailbox::member::Member;
use crate::mailbox::reader::Reader;

/// How many receivers share the events of a channel: [`Exclusive`] or [`Shared`]. Sealed.
///
/// # Examples
/// A function for both kinds of receiver:
/// ```
/// use buslane::channel::Kind;
/// use buslane::{Channel, Receiver, Sink};
/// fn sum<K: Kind>(receiver: &mut Receiver<u32, K>) -> u32 {
///     receiver.try_iter().sum()
/// }
/// let (one, mut receiver) = Channel::lossy(8)?;
/// let (other, mut shared) = Channel::shared(8)?;
/// one.write(40)?;
/// other.write(2)?;
/// assert_eq!(sum(&mut receiver) + sum(&mut shared), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(private_bounds, reason = "the trait is sealed by it")]
pub trait Kind: Reads {}

/// What a receiver of this kind reads from.
pub(crate) trait Reads: 'static {
    type Intake<E: Send + 'static>: Intake<E>;

    /// The name of the receiver in debug output.
    const RECEIVER: &str;
}

/// The channel has one receiver, and a private ring for each publisher.
#[derive(Debug)]
pub enum Exclusive {}

/// The channel has any number of receivers, which share one ring.
#[derive(Debug)]
pub enum Shared {}

impl Kind for Exclusive {}
impl Kind for Shared {}

impl Reads for Exclusive {
    type Intake<E: Send + 'static> = Reader<E>;
    const RECEIVER: &str = "Receiver";
}

impl Reads for Shared {
    type Intake<E: Send + 'static> = Member<E>;
    const RECEIVER: &str = "SharedReceiver";
}
