//! The private way of one publisher into one sink.

use crate::error::WriteError;
use crate::mailbox::lane::PrivateLane;
use crate::mailbox::view::LaneView;
use crate::stats::{Disposition, HeldBack};
use crate::sync::lent::{Claim, Lent};
use crate::time::Deadline;
use crate::wait::context::{Quiet, discard, dispose, user_code};
use std::fmt;
use std::sync::Arc;

/// The private way of one publisher into one sink.
///
/// A lane into a queue or channel is a ring of its own. A combinator that makes one event of one event gives out a lane
/// around that of the sink behind it: a *gated* one if it only lets some events pass (`Filter`), a *staged* one if it does
/// anything else (`Map`).
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use buslane::time::Deadline;
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// let mut lane = channel.lane()?.expect("a channel gives out lanes").gated(|n: &u32| n % 2 == 0);
/// for n in 0..4 {
///     lane.push(n, Deadline::NEVER)?;
/// }
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lane<E> {
    pub(crate) kind: LaneKind<E>,
    /// What keeps events away from the lane.
    pub(crate) gate: Option<Gate<E>>,
}

/// Says what became of an event that does not pass.
pub(crate) type Gate<E> = Lent<Judge<E>>;

type Judge<E> = dyn FnMut(&E) -> Option<HeldBack> + Send;

pub(crate) enum LaneKind<E> {
    Private(PrivateLane<E>),
    Staged(Lent<dyn LaneWrite<E>>),
}

impl<E: Send + 'static> Lane<E> {
    /// A lane that is a stage in front of another one.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, WriteError};
    /// use buslane::sink::{Lane, LaneWrite};
    /// use buslane::time::Deadline;
    /// struct Doubled(Lane<u32>);
    /// impl LaneWrite<u32> for Doubled {
    ///     fn push(&mut self, event: u32, deadline: Deadline) -> Result<(), WriteError<u32>> {
    ///         self.0.push(event * 2, deadline).map_err(|error| error.map_event(|_| event))
    ///     }
    /// }
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let inner = channel.lane()?.expect("a channel gives out lanes");
    /// Lane::staged(Doubled(inner)).push(21, Deadline::NEVER)?;
    /// assert_eq!(receiver.recv()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn staged(stage: impl LaneWrite<E> + 'static) -> Self {
        Self { kind: LaneKind::Staged(Lent::new(Box::new(Quiet::new(stage)))), gate: None }
    }

    /// Puts a gate in front of the lane. An event that does not pass counts as taken; what became of it is for the gate to
    /// count. A gate that panics lets nothing pass.
    ///
    /// Cheaper than a stage: all gated lanes of a publisher share its one fence.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::time::Deadline;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let mut seen = 0;
    /// let every_second = move |_: &char| { seen += 1; seen % 2 == 0 };
    /// let mut lane = channel.lane()?.expect("a channel gives out lanes").gated(every_second);
    /// for event in "abcd".chars() {
    ///     lane.push(event, Deadline::NEVER)?;
    /// }
    /// assert_eq!(receiver.drain().collect::<String>(), "bd");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn gated(self, gate: impl FnMut(&E) -> bool + Send + 'static) -> Self {
        let mut gate = Quiet::new(gate);
        self.gated_by(move |event| match user_code(|| (*gate)(event)) {
            Ok(true) => None,
            Ok(false) => Some(HeldBack::Filtered),
            Err(_) => Some(HeldBack::Panicked),
        })
    }

    /// As [`gated`](Self::gated), for a gate that does not panic and in which nothing waits.
    pub(crate) fn gated_by(mut self, mut gate: impl FnMut(&E) -> Option<HeldBack> + Send + 'static) -> Self {
        self.gate = Some(match self.gate {
            None => Lent::new(Box::new(gate)),
            Some(mut inner) => Lent::new(Box::new(move |event| gate(event).or_else(|| inner(event)))),
        });
        self
    }

    /// The right to take back what is user code of the sink in it, if anything is.
    pub(crate) fn claims(&self) -> Option<LaneClaims<E>> {
        let stage = match &self.kind {
            LaneKind::Private(_) => None,
            LaneKind::Staged(stage) => Some(stage.claim()),
        };
        let gate = self.gate.as_ref().map(Lent::claim);
        (gate.is_some() || stage.is_some()).then_some(LaneClaims { gate, stage })
    }

    pub(crate) fn private(lane: PrivateLane<E>) -> Self {
        Self { kind: LaneKind::Private(lane), gate: None }
    }

    /// Puts an event in, settles with whoever seals the lane, and wakes the consumer if it sleeps.
    ///
    /// Where the policy is to wait for room, the push waits until the deadline: not at all with [`Deadline::NOW`], and as long as
    /// the policy says with [`Deadline::NEVER`].
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Overflow, Sink, WriteError};
    /// use buslane::time::Deadline;
    /// let (channel, receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build()?;
    /// let mut lane = channel.lane()?.expect("a channel gives out lanes");
    /// lane.push(1, Deadline::NEVER)?;
    /// assert!(matches!(lane.push(2, Deadline::NEVER), Err(WriteError::Full(2))));
    /// # drop(receiver);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn push(&mut self, event: E, deadline: Deadline) -> Result<(), WriteError<E>> {
        self.offer(event, deadline).map(drop)
    }

    /// As [`push`](Self::push), and reports what became of an event that was accepted.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::time::Deadline;
    /// use buslane::stats::{Disposition, DropReason};
    /// let (channel, _receiver) = Channel::lossy(1)?; // drops the newest event when it is full
    /// let mut lane = channel.lane()?.expect("a channel gives out lanes");
    /// assert_eq!(lane.offer(1, Deadline::NEVER)?, Disposition::Pending);
    /// assert_eq!(lane.offer(2, Deadline::NEVER)?, Disposition::Dropped(DropReason::Full));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        if let Some(gate) = &mut self.gate
            && let Some(held_back) = gate(&event)
        {
            discard(event);
            return Ok(held_back.into());
        }
        match &mut self.kind {
            LaneKind::Private(lane) => lane.push(event, deadline),
            LaneKind::Staged(stage) => stage.offer(event, deadline),
        }
    }

    /// Whether a push may wait for room.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Overflow, Sink};
    /// for (overflow, may_wait) in [(Overflow::Block, true), (Overflow::DropNewest, false)] {
    ///     let (channel, _receiver) = Channel::<u32>::builder().overflow(overflow).build()?;
    ///     assert!(channel.lane()?.is_some_and(|lane| lane.may_wait() == may_wait));
    /// }
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn may_wait(&self) -> bool {
        match &self.kind {
            LaneKind::Private(lane) => lane.may_wait(),
            LaneKind::Staged(stage) => stage.may_wait(),
        }
    }

    /// Whether a push may run user code of the sink, or goes where its end cannot be fixed.
    pub(crate) fn has_user_code(&self) -> bool {
        let is_shared = matches!(&self.kind, LaneKind::Private(lane) if lane.is_shared() || lane.has_hook());
        self.gate.is_some() || is_shared || matches!(self.kind, LaneKind::Staged(_))
    }

    /// What ends the lane from outside; `None` where a removal has to wait for the push in progress instead.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (bounded, _receiver) = Channel::<u32>::lossy(8)?;
    /// assert!(bounded.lane()?.is_some_and(|lane| lane.sealer().is_some()));
    /// let (unbounded, _receiver) = Channel::<u32>::builder().unbounded().build()?;
    /// assert!(unbounded.lane()?.is_some_and(|lane| lane.sealer().is_none()));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn sealer(&self) -> Option<LaneSealer> {
        match &self.kind {
            // A lane into an unbounded queue neither waits nor has an end.
            LaneKind::Private(lane) => lane.is_sealable().then(|| LaneSealer(lane.view().clone())),
            LaneKind::Staged(stage) => stage.sealer(),
        }
    }
}

/// The right to take back the user code in a lane that a publisher has.
pub(crate) struct LaneClaims<E> {
    gate: Option<Claim<Judge<E>>>,
    stage: Option<Claim<dyn LaneWrite<E>>>,
}

impl<E> LaneClaims<E> {
    /// Drops the user code in the lane, unless that has happened; `false` while another thread is about it. To be called when the
    /// publisher uses the lane no more.
    pub(crate) fn drop_now(&self) -> bool {
        if let Some(gate) = &self.gate {
            dispose(gate.take_back());
        }
        if let Some(stage) = &self.stage {
            dispose(stage.take_back());
        }
        self.gate.as_ref().is_none_or(Claim::is_gone) && self.stage.as_ref().is_none_or(Claim::is_gone)
    }
}

impl<E> fmt::Debug for Lane<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            LaneKind::Private(_) => "Lane::Private",
            LaneKind::Staged(_) => "Lane::Staged",
        })
    }
}

/// One stage of a staged lane: what a 1:1 combinator does to an event on its way into the lane behind it.
///
/// # Examples
/// ```
/// use buslane::WriteError;
/// use buslane::sink::{Lane, LaneSealer, LaneWrite};
/// use buslane::time::Deadline;
///
/// /// Lets every second event pass.
/// struct EverySecond {
///     inner: Lane<u64>,
///     odd: bool,
/// }
///
/// impl LaneWrite<u64> for EverySecond {
///     fn push(&mut self, event: u64, deadline: Deadline) -> Result<(), WriteError<u64>> {
///         self.odd = !self.odd;
///         if self.odd { Ok(()) } else { self.inner.push(event, deadline) }
///     }
///
///     fn sealer(&self) -> Option<LaneSealer> {
///         self.inner.sealer()
///     }
///
///     fn may_wait(&self) -> bool {
///         self.inner.may_wait()
///     }
/// }
/// ```
pub trait LaneWrite<E>: Send {
    /// Hands an event on, or gives it back.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    ///
    /// # Examples
    /// ```
    /// use buslane::WriteError;
    /// use buslane::sink::LaneWrite;
    /// use buslane::time::Deadline;
    /// struct Last(Option<u32>);
    /// impl LaneWrite<u32> for Last {
    ///     fn push(&mut self, event: u32, _: Deadline) -> Result<(), WriteError<u32>> {
    ///         self.0 = Some(event);
    ///         Ok(())
    ///     }
    /// }
    /// let mut last = Last(None);
    /// last.push(7, Deadline::NEVER)?;
    /// assert_eq!(last.0, Some(7));
    /// # Ok::<(), WriteError<u32>>(())
    /// ```
    fn push(&mut self, event: E, deadline: Deadline) -> Result<(), WriteError<E>>;

    /// As [`push`](Self::push), and reports what became of an event that was accepted; what a bus calls.
    ///
    /// By default an event that `push` accepts is [`Delivered`](Disposition::Delivered). A stage returns what the `offer` of the
    /// inner lane returned, and pushes by it.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    ///
    /// # Examples
    /// ```
    /// use buslane::WriteError;
    /// use buslane::sink::{Lane, LaneWrite};
    /// use buslane::time::Deadline;
    /// use buslane::stats::Disposition;
    /// /// Lets every second event pass.
    /// struct EverySecond {
    ///     inner: Lane<u64>,
    ///     odd: bool,
    /// }
    /// impl LaneWrite<u64> for EverySecond {
    ///     fn push(&mut self, event: u64, deadline: Deadline) -> Result<(), WriteError<u64>> {
    ///         self.offer(event, deadline).map(drop)
    ///     }
    ///     fn offer(&mut self, event: u64, deadline: Deadline) -> Result<Disposition, WriteError<u64>> {
    ///         self.odd = !self.odd;
    ///         if self.odd { Ok(Disposition::Filtered) } else { self.inner.offer(event, deadline) }
    ///     }
    /// }
    /// ```
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        self.push(event, deadline).map(|()| Disposition::Delivered)
    }

    /// What ends the lane from outside: that of the lane behind. `None`, the default, makes a removal wait for the push
    /// in progress instead.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, WriteError};
    /// use buslane::sink::{Lane, LaneSealer, LaneWrite};
    /// use buslane::time::Deadline;
    /// struct Stage(Lane<u32>);
    /// impl LaneWrite<u32> for Stage {
    /// #   fn push(&mut self, event: u32, deadline: Deadline) -> Result<(), WriteError<u32>> { self.0.push(event, deadline) }
    ///     fn sealer(&self) -> Option<LaneSealer> {
    ///         self.0.sealer()
    ///     }
    /// }
    /// let (channel, _receiver) = Channel::lossy(8)?;
    /// let lane = channel.lane()?.expect("a channel gives out lanes");
    /// assert!(Lane::staged(Stage(lane)).sealer().is_some());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    fn sealer(&self) -> Option<LaneSealer> {
        None
    }

    /// Whether a push may wait for room; if so, it happens after every other sink has its event. Default: `true`.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Overflow, Sink, WriteError};
    /// use buslane::sink::{Lane, LaneWrite};
    /// use buslane::time::Deadline;
    /// struct Stage(Lane<u32>);
    /// impl LaneWrite<u32> for Stage {
    /// #   fn push(&mut self, event: u32, deadline: Deadline) -> Result<(), WriteError<u32>> { self.0.push(event, deadline) }
    ///     fn may_wait(&self) -> bool {
    ///         self.0.may_wait()
    ///     }
    /// }
    /// let (channel, _receiver) = Channel::builder().overflow(Overflow::DropNewest).build()?;
    /// let lane = channel.lane()?.expect("a channel gives out lanes");
    /// assert!(!Lane::staged(Stage(lane)).may_wait());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    fn may_wait(&self) -> bool {
        true
    }
}

impl<E, L: LaneWrite<E>> LaneWrite<E> for Quiet<L> {
    fn push(&mut self, event: E, deadline: Deadline) -> Result<(), WriteError<E>> {
        (**self).push(event, deadline)
    }

    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        (**self).offer(event, deadline)
    }

    fn sealer(&self) -> Option<LaneSealer> {
        (**self).sealer()
    }

    fn may_wait(&self) -> bool {
        (**self).may_wait()
    }
}

/// Ends one lane from outside.
///
/// # Examples
/// A stage hands on that of the lane behind it, so that a bus need not wait for a push in progress:
/// ```
/// use buslane::{Channel, Sink, SinkExt};
/// let (channel, _receiver) = Channel::<String>::lossy(8)?;
/// let lane = channel.map(|n: &u32| n.to_string()).lane()?;
/// assert!(lane.is_some_and(|lane| lane.sealer().is_some()));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Clone)]
pub struct LaneSealer(Arc<dyn Seal>);

/// Ends a lane in steps. Before `fix` there is a fence that all lanes share, which are sealed together.
pub(crate) trait Seal: Send + Sync {
    /// Nothing enters that comes after the fence.
    fn mark(&self);
    /// Settles what was accepted, where that is not clear.
    fn fix(&self);
    /// Wakes a publisher that waits for room, which returns, and the consumer.
    fn wake_all(&self);
}

impl<E: Send + 'static> Seal for LaneView<E> {
    fn mark(&self) {
        Self::mark(self);
    }

    fn fix(&self) {
        Self::fix(self);
    }

    fn wake_all(&self) {
        Self::wake_all(self);
    }
}

/// Several lanes that are one to their publisher.
impl Seal for Vec<LaneSealer> {
    fn mark(&self) {
        self.iter().for_each(|part| part.0.mark());
    }

    fn fix(&self) {
        self.iter().for_each(|part| part.0.fix());
    }

    fn wake_all(&self) {
        self.iter().for_each(|part| part.0.wake_all());
    }
}

impl LaneSealer {
    /// Ends a lane by what its stage knows of it.
    pub(crate) fn new(seal: Arc<dyn Seal>) -> Self {
        Self(seal)
    }

    /// Ends both lanes, which are one to their publisher.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(Arc::new(vec![self, other]))
    }

    /// Ends several lanes that are one to their publisher; `None` when one of them cannot be ended from outside.
    pub(crate) fn of_all<E: Send + 'static>(lanes: &[PrivateLane<E>]) -> Option<Self> {
        let parts = lanes.iter().map(|lane| lane.is_sealable().then(|| Self(lane.view().clone())));
        Some(Self(Arc::new(parts.collect::<Option<Vec<_>>>()?)))
    }

    /// Seals many lanes: afterwards nothing more enters, and what was accepted is known. `fence` is called once all are marked, and
    /// makes sure that their publishers see that, or are seen: a heavy fence, or as good as one.
    pub(crate) fn seal_all(sealers: &[Self], fence: impl FnOnce()) {
        sealers.iter().for_each(|sealer| sealer.0.mark());
        fence();
        sealers.iter().for_each(|sealer| sealer.0.fix());
        sealers.iter().for_each(|sealer| sealer.0.wake_all());
    }
}

impl fmt::Debug for LaneSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneSealer")
    }
}
