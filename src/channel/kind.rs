//! The kinds of receivers: exclusive, or shared by several readers.

use crate::mailbox::intake::Intake;
use crate::mailbox::member::Member;
use crate::mailbox::reader::Reader;

/// The kind of a receiver: [`Exclusive`], or [`Shared`] by several readers.
///
/// This trait is sealed.
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
/// let (other, mut shared) = Channel::shared_lossy(8)?;
/// one.write(40)?;
/// other.write(2)?;
/// assert_eq!(sum(&mut receiver) + sum(&mut shared), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(private_bounds, reason = "the trait is sealed by it")]
pub trait Kind: Reads {}

/// The source that a receiver of this kind reads from.
pub(crate) trait Reads: 'static {
    type Intake<E: Send + 'static>: Intake<E>;

    /// The name of the receiver in debug output.
    const RECEIVER: &str;
}

/// The kind of the only receiver of a channel, with a private ring for each publisher.
#[derive(Debug)]
pub enum Exclusive {}

/// The kind of a receiver that can be cloned: all receivers share one ring.
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
