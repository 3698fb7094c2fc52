//! The private lane of one publisher into one sink.
//!
//! Sealed: a lane is a promise between the crate's own sinks and the bus about rings, seals and waits, which no sink of a user can keep.
//! The methods of [`Sink`](crate::Sink) that make lanes take an [`Internal`], which only this crate has.
//!
//! The lanes into mailboxes are the ones that matter most, and this layer lies below the mailboxes. So it names them by
//! [`PlainLanes`], for which the mailbox layer fills in its type. The compiler resolves that: a plain lane stays a variant of an enum,
//! and a publish calls it directly.

use crate::error::{OutOfMemory, WriteError};
use crate::stats::{Disposition, HeldBack};
use crate::sync::lent::{Claim, Lent};
use crate::time::Deadline;
use crate::wait::context::{Quiet, discard, dispose};
use std::fmt;
use std::sync::Arc;

/// What a method takes that only the crate calls, and that no sink of a user overrides.
#[derive(Clone, Copy, Debug)]
pub struct Internal(());

impl Internal {
    pub(crate) const TOKEN: Self = Self(());
}

/// The lanes of a sink, for the crate. Every [`Sink`](crate::Sink) implements it.
pub trait Lanes<E> {
    /// Makes a private lane for one publisher; `None` where events go through [`write`](crate::Sink::write).
    ///
    /// # Errors
    /// [`OutOfMemory`] when the lane's memory cannot be allocated.
    fn lane(&self) -> Result<Option<Lane<E>>, OutOfMemory>;

    /// Whether [`lane`](Self::lane) makes lanes.
    fn has_lanes(&self) -> bool;
}

/// Says which lanes lead into mailboxes. [`Mailboxes`] is the one type that implements it, in the mailbox layer.
pub(crate) trait PlainLanes<E> {
    type Lane;
}

/// The mailbox layer, as this layer knows it.
pub(crate) struct Mailboxes;

type PrivateLane<E> = <Mailboxes as PlainLanes<E>>::Lane;

/// A lane into a mailbox.
pub(crate) trait PlainLane<E> {
    /// Puts an event in, settles with a seal in progress, and wakes the consumer if it is parked.
    fn push(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>>;
    /// Whether a push may wait for room.
    fn may_wait(&self) -> bool;
    /// Whether a push may run user code of the sink, or goes where its end cannot be fixed.
    fn has_user_code(&self) -> bool;
    /// What ends the lane from outside; `None` for a lane into an unbounded mailbox, which neither waits nor has an end.
    fn seal(&self) -> Option<Arc<dyn Seal>>;
}

/// The private lane of one publisher into one sink.
///
/// A lane into a queue or channel is a ring of its own. A combinator that makes one event of one event makes a lane around that
/// of its inner sink: a *gated* one if it only lets some events pass (`Filter`), a *staged* one if it does anything else (`Map`).
pub struct Lane<E> {
    pub(crate) kind: LaneKind<E>,
    /// What keeps events away from the lane.
    pub(crate) gate: Option<LaneFilter<E>>,
}

/// Says what became of an event that does not pass.
pub(crate) type LaneFilter<E> = Lent<Judge<E>>;

type Judge<E> = dyn FnMut(&E) -> Option<HeldBack> + Send;

pub(crate) enum LaneKind<E> {
    Private(PrivateLane<E>),
    Staged(Lent<dyn LaneWrite<E>>),
}

impl<E: Send + 'static> Lane<E> {
    /// A lane that is a stage in front of another one.
    pub fn staged(stage: impl LaneWrite<E> + 'static) -> Self {
        Self { kind: LaneKind::Staged(Lent::new(Box::new(Quiet::new(stage)))), gate: None }
    }

    /// Puts a gate in front of the lane. A gate that panics lets nothing pass.
    #[cfg(feature = "unstable")]
    #[must_use]
    pub fn gated(self, gate: impl FnMut(&E) -> bool + Send + 'static) -> Self {
        let mut gate = Quiet::new(gate);
        self.gated_by(move |event| match crate::wait::context::user_code(|| (*gate)(event)) {
            Ok(true) => None,
            Ok(false) => Some(HeldBack::Filtered),
            Err(_) => Some(HeldBack::Panicked),
        })
    }

    /// Puts a gate in front of the lane, which does not panic, and in which nothing waits. An event that does not pass counts as
    /// accepted; the gate counts what became of it.
    ///
    /// Cheaper than a stage: all gated lanes of a publisher share its one fence.
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

    /// Puts an event in, settles with a seal in progress, and wakes the consumer if it is parked.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    #[cfg(feature = "unstable")]
    #[inline]
    pub fn push(&mut self, event: E, deadline: Deadline) -> Result<(), WriteError<E>> {
        self.offer(event, deadline).map(drop)
    }

    /// Puts an event in, and returns what became of it.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    #[inline]
    pub fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        if let Some(gate) = &mut self.gate
            && let Some(held_back) = gate(&event)
        {
            discard(event);
            return Ok(held_back.into());
        }
        match &mut self.kind {
            LaneKind::Private(lane) => PlainLane::push(lane, event, deadline),
            LaneKind::Staged(stage) => stage.offer(event, deadline),
        }
    }

    /// Whether a push may wait for room.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        match &self.kind {
            LaneKind::Private(lane) => PlainLane::may_wait(lane),
            LaneKind::Staged(stage) => stage.may_wait(),
        }
    }

    /// Whether a push may run user code of the sink, or goes where its end cannot be fixed.
    pub(crate) fn has_user_code(&self) -> bool {
        self.gate.is_some()
            || match &self.kind {
                LaneKind::Private(lane) => PlainLane::has_user_code(lane),
                LaneKind::Staged(_) => true,
            }
    }

    /// What ends the lane from outside; `None` where a removal has to wait for the push in progress instead.
    #[must_use]
    pub fn sealer(&self) -> Option<LaneSealer> {
        match &self.kind {
            LaneKind::Private(lane) => PlainLane::seal(lane).map(LaneSealer),
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

/// One stage of a staged lane: what a 1:1 combinator does to an event on its way into the inner lane.
pub trait LaneWrite<E>: Send {
    /// Forwards an event and returns what became of it, or gives it back.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>>;

    /// The lane into which the stage forwards events; `None` where it ends. It has no default, so that no stage forgets to forward
    /// what follows.
    fn inner(&self) -> Option<&dyn InnerLane>;

    /// What ends the lane from outside; `None` makes a removal wait for the push in progress instead.
    fn sealer(&self) -> Option<LaneSealer> {
        self.inner()?.sealer()
    }

    /// Whether a push may wait for room; if so, it happens after every other sink has its event.
    fn may_wait(&self) -> bool {
        self.inner().is_none_or(InnerLane::may_wait)
    }
}

impl<E, L: LaneWrite<E>> LaneWrite<E> for Quiet<L> {
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        (**self).offer(event, deadline)
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        (**self).inner()
    }

    fn sealer(&self) -> Option<LaneSealer> {
        (**self).sealer()
    }

    fn may_wait(&self) -> bool {
        (**self).may_wait()
    }
}

/// The lane downstream of a stage, whatever its events are.
pub trait InnerLane {
    /// As [`Lane::sealer`].
    fn sealer(&self) -> Option<LaneSealer>;
    /// As [`Lane::may_wait`].
    fn may_wait(&self) -> bool;
}

impl<E: Send + 'static> InnerLane for Lane<E> {
    fn sealer(&self) -> Option<LaneSealer> {
        Self::sealer(self)
    }

    fn may_wait(&self) -> bool {
        Self::may_wait(self)
    }
}

/// Ends one lane from outside.
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
    pub(crate) fn of_all<E>(lanes: &[impl PlainLane<E>]) -> Option<Self> {
        let parts = lanes.iter().map(|lane| lane.seal().map(Self));
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
