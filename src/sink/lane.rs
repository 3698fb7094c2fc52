//! The private lane of one publisher into one sink.
//!
//! Sealed: a lane relies on rules about rings, seals and waits, which only sinks of this crate can
//! keep. The methods of [`Sink`](crate::Sink) that make lanes take an [`Internal`], which only this
//! crate can create.
//!
//! Lanes into mailboxes matter most, but this layer is below the mailbox layer. So it names them by
//! [`PlainLanes`], for which the mailbox layer supplies the type. The compiler resolves the type: a
//! plain lane stays a variant of an enum, and a publish calls it directly.

use super::biased::BiasedLane;
use crate::error::{OutOfMemory, WriteError};
use crate::stats::{Disposition, HeldBack};
use crate::sync::lent::{Claim, Lent};
use crate::time::Deadline;
use crate::wait::context::{Quiet, discard, dispose};
use crate::wait::list::task::TaskWait;
use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A token in the arguments of methods that only this crate calls, and that no user's sink
/// overrides.
#[derive(Clone, Copy, Debug)]
pub struct Internal(());

impl Internal {
    pub(crate) const TOKEN: Self = Self(());
}

/// The lanes of a sink, as the crate uses them. Every [`Sink`](crate::Sink) implements it.
pub trait Lanes<E> {
    /// Makes a private lane for one publisher, or returns `None` if events go through
    /// [`write`](crate::Sink::write).
    ///
    /// # Errors
    /// [`OutOfMemory`] if the lane's memory cannot be allocated.
    fn lane(&self) -> Result<Option<Lane<E>>, OutOfMemory>;

    /// Returns `true` if [`lane`](Self::lane) makes lanes.
    fn has_lanes(&self) -> bool;
}

/// Names the types of the lanes into mailboxes. [`Mailboxes`] is the only implementor, in the
/// mailbox layer.
pub(crate) trait PlainLanes<E> {
    type Lane;
    type Shared;
}

/// A stand-in for the mailbox layer in this lower layer.
pub(crate) struct Mailboxes;

type PrivateLane<E> = <Mailboxes as PlainLanes<E>>::Lane;

/// The access of a bus to the shared lane of a queue or a channel, past the sink.
pub struct SharedAccess<E>(pub(crate) <Mailboxes as PlainLanes<E>>::Shared);

impl<E> fmt::Debug for SharedAccess<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedAccess")
    }
}

/// A lane into a mailbox.
pub(crate) trait PlainLane<E> {
    /// Pushes an event, settles with a seal in progress, and wakes the consumer if it is parked.
    fn push(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>>;
    /// Returns `true` if a push may wait for room.
    fn may_wait(&self) -> bool;
    /// Returns the wait of a task for room, if a push would wait now.
    fn full(&self) -> Option<TaskWait>;
    /// Returns `true` if a push may run user code of the sink, or goes into a ring in which the end
    /// of this lane cannot be fixed.
    fn has_user_code(&self) -> bool;
    /// Returns what seals the lane from outside. `None` for a lane into an unbounded mailbox, which
    /// neither waits nor has an end.
    fn seal(&self) -> Option<Arc<dyn Seal>>;
}

/// The private lane of one publisher into one sink.
///
/// A lane into a queue or channel is a ring. A combinator that makes one event from each event
/// wraps the lane of its inner sink. The result is a *filtered* lane if the combinator only keeps
/// some events out (`Filter`), and a *staged* lane if it does anything else (`Map`).
pub struct Lane<E> {
    pub(crate) kind: LaneKind<E>,
    /// The predicate that keeps events out of the lane.
    pub(crate) filter: Option<LaneFilter<E>>,
    /// Whether the lane has user code or a state that belongs to its publisher, and ends with it.
    pub(crate) ends_with_publisher: bool,
}

/// A predicate that returns what became of an event that does not pass, and `None` for one that
/// does.
pub(crate) type LaneFilter<E> = Lent<Judge<E>>;

type Judge<E> = dyn FnMut(&E) -> Option<HeldBack> + Send;

/// The lane into a journal, and what ends the waits of its publisher. A removal takes back both: the
/// sealer, too, keeps the events of the journal.
pub(crate) struct SealableLane<E> {
    pub(crate) lane: BiasedLane<E>,
    sealer: LaneSealer,
}

pub(crate) enum LaneKind<E> {
    Private(PrivateLane<E>),
    Biased(Lent<SealableLane<E>>),
    Staged(Lent<dyn LaneWrite<E>>),
}

impl<E: Send + 'static> Lane<E> {
    /// Returns a lane that is a stage upstream of another one.
    pub fn staged(stage: impl LaneWrite<E> + 'static) -> Self {
        let kind = LaneKind::Staged(Lent::new(Box::new(Quiet::new(stage))));
        Self { kind, filter: None, ends_with_publisher: true }
    }

    /// Puts a filter upstream of the lane. If the filter panics, the event does not pass.
    #[cfg(feature = "unstable")]
    #[must_use]
    pub fn filtered(self, filter: impl FnMut(&E) -> bool + Send + 'static) -> Self {
        let mut filter = Quiet::new(filter);
        self.for_one_publisher().filtered_by(move |event| {
            match crate::wait::context::user_code(|| (*filter)(event)) {
                Ok(true) => None,
                Ok(false) => Some(HeldBack::Filtered),
                Err(_) => Some(HeldBack::Panicked),
            }
        })
    }

    /// Keeps the lane from the next publisher: it has a state that belongs to this one.
    pub(crate) fn for_one_publisher(mut self) -> Self {
        self.ends_with_publisher = true;
        self
    }

    /// Puts a filter upstream of the lane, which another publisher may take over. The filter must
    /// not panic, and nothing waits in it. An event that does not pass counts as accepted, and the
    /// filter counts what became of it.
    ///
    /// A filter is cheaper than a stage: all filtered lanes of a publisher share its one fence.
    pub(crate) fn filtered_by(
        mut self,
        mut filter: impl FnMut(&E) -> Option<HeldBack> + Send + 'static,
    ) -> Self {
        self.filter = Some(match self.filter {
            None => Lent::new(Box::new(filter)),
            Some(mut inner) => Lent::new(Box::new(move |event| filter(event).or_else(|| inner(event)))),
        });
        self
    }

    /// Returns the right to take back the user code of the sink in the lane, if there is any.
    pub(crate) fn claims(&self) -> Option<LaneClaims<E>> {
        let stage = match &self.kind {
            LaneKind::Private(_) => None,
            LaneKind::Biased(lane) => Some(StageClaim::Biased(lane.claim())),
            LaneKind::Staged(stage) => Some(StageClaim::Staged(stage.claim())),
        };
        let filter = self.filter.as_ref().map(Lent::claim);
        (filter.is_some() || stage.is_some()).then_some(LaneClaims { filter, stage })
    }

    /// Returns the lane into a journal, with what ends the waits of its publisher.
    pub(crate) fn biased(lane: BiasedLane<E>, sealer: LaneSealer) -> Self {
        let kind = LaneKind::Biased(Lent::new(Box::new(SealableLane { lane, sealer })));
        Self { kind, filter: None, ends_with_publisher: false }
    }

    pub(crate) fn private(lane: PrivateLane<E>) -> Self {
        Self { kind: LaneKind::Private(lane), filter: None, ends_with_publisher: false }
    }

    /// Pushes an event, settles with a seal in progress, and wakes the consumer if it is parked.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    #[cfg(feature = "unstable")]
    #[inline]
    pub fn push(&mut self, event: E, deadline: Deadline) -> Result<(), WriteError<E>> {
        self.offer(event, deadline).map(drop)
    }

    /// Pushes an event, and returns what became of it.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    #[inline]
    pub fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        if let Some(filter) = &mut self.filter
            && let Some(held_back) = filter(&event)
        {
            discard(event);
            return Ok(held_back.into());
        }
        match &mut self.kind {
            LaneKind::Private(lane) => PlainLane::push(lane, event, deadline),
            LaneKind::Biased(sealable) => sealable.lane.offer(event, deadline),
            LaneKind::Staged(stage) => stage.offer(event, deadline),
        }
    }

    /// Returns `true` if a push may wait for room.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        match &self.kind {
            LaneKind::Private(lane) => PlainLane::may_wait(lane),
            // At the gate of a subscriber.
            LaneKind::Biased(..) => true,
            LaneKind::Staged(stage) => stage.may_wait(),
        }
    }

    /// Returns the wait of a task for room, if a push would wait now. In a lane that this publisher
    /// does not share with others, room that is there stays until the next push.
    #[must_use]
    pub fn full(&self) -> Option<RoomWait> {
        match &self.kind {
            LaneKind::Private(lane) => PlainLane::full(lane).map(RoomWait::new),
            LaneKind::Biased(sealable) => sealable.lane.full().map(RoomWait::new),
            LaneKind::Staged(stage) => stage.full(),
        }
    }

    /// Continues the publish of a task with the event that a stage keeps. Returns `true` if none does.
    pub(crate) fn resume(&mut self) -> bool {
        match &mut self.kind {
            LaneKind::Private(_) | LaneKind::Biased(_) => true,
            LaneKind::Staged(stage) => stage.resume(),
        }
    }

    /// Drops the event that a stage keeps.
    pub(crate) fn give_up(&mut self) {
        if let LaneKind::Staged(stage) = &mut self.kind {
            stage.give_up();
        }
    }

    /// Returns `true` if a push may run user code of the sink, or goes into a ring in which the end
    /// of this lane cannot be fixed.
    pub(crate) fn has_user_code(&self) -> bool {
        self.filter.is_some()
            || match &self.kind {
                LaneKind::Private(lane) => PlainLane::has_user_code(lane),
                LaneKind::Biased(..) | LaneKind::Staged(_) => true,
            }
    }

    /// Returns what seals the lane from outside. `None` if a removal has to wait for the push in
    /// progress instead.
    #[must_use]
    pub fn sealer(&self) -> Option<LaneSealer> {
        match &self.kind {
            LaneKind::Private(lane) => PlainLane::seal(lane).map(LaneSealer),
            LaneKind::Biased(sealable) => Some(sealable.sealer.clone()),
            LaneKind::Staged(stage) => stage.sealer(),
        }
    }
}

/// The right to take back the user code in a lane that a publisher holds.
pub(crate) struct LaneClaims<E> {
    filter: Option<Claim<Judge<E>>>,
    stage: Option<StageClaim<E>>,
}

enum StageClaim<E> {
    Biased(Claim<SealableLane<E>>),
    Staged(Claim<dyn LaneWrite<E>>),
}

impl<E> LaneClaims<E> {
    /// Drops the user code in the lane, unless it was dropped before. Returns `false` while another
    /// thread is dropping it. Called only after the publisher's last use of the lane.
    pub(crate) fn drop_now(&self) -> bool {
        if let Some(filter) = &self.filter {
            dispose(filter.take_back());
        }
        match &self.stage {
            None => {}
            Some(StageClaim::Biased(lane)) => dispose(lane.take_back()),
            Some(StageClaim::Staged(stage)) => dispose(stage.take_back()),
        }
        self.filter.as_ref().is_none_or(Claim::is_dropped)
            && match &self.stage {
                None => true,
                Some(StageClaim::Biased(lane)) => lane.is_dropped(),
                Some(StageClaim::Staged(stage)) => stage.is_dropped(),
            }
    }
}

impl<E> fmt::Debug for Lane<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            LaneKind::Private(_) => "Lane::Private",
            LaneKind::Biased(..) => "Lane::Biased",
            LaneKind::Staged(_) => "Lane::Staged",
        })
    }
}

/// One stage of a staged lane: what a 1:1 combinator does to an event before it enters the inner
/// lane.
pub trait LaneWrite<E>: Send {
    /// Forwards an event and returns what became of it, or gives it back.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>>;

    /// Returns the lane into which the stage forwards events, or `None` if the stage is the last
    /// one. There is no default, so that no stage forgets to forward the calls below.
    fn inner(&self) -> Option<&dyn InnerLane>;

    /// Returns the same lane as [`inner`](Self::inner). There is no default, for the same reason.
    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane>;

    /// Returns what seals the lane from outside. `None` makes a removal wait for the push in
    /// progress instead.
    fn sealer(&self) -> Option<LaneSealer> {
        self.inner()?.sealer()
    }

    /// Returns `true` if a push may wait for room. Such a push comes after every other sink has its
    /// event.
    fn may_wait(&self) -> bool {
        self.inner().is_none_or(InnerLane::may_wait)
    }

    /// Returns the wait of a task for room, if a push would wait now, or if the lane keeps an event for
    /// which there is no room.
    fn full(&self) -> Option<RoomWait> {
        self.inner()?.full()
    }

    /// Continues the publish of a task with the event that the lane keeps, without waiting. Returns
    /// `true` if it keeps none.
    ///
    /// A stage that branches keeps an event that it has accepted for some of its inner sinks, while a
    /// task publishes it and another inner sink is full.
    fn resume(&mut self) -> bool {
        self.inner_mut().is_none_or(|inner| inner.resume())
    }

    /// Drops the event that the lane keeps, since the task does not continue.
    fn give_up(&mut self) {
        if let Some(inner) = self.inner_mut() {
            inner.give_up();
        }
    }
}

impl<E, L: LaneWrite<E>> LaneWrite<E> for Quiet<L> {
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        (**self).offer(event, deadline)
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        (**self).inner()
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        (**self).inner_mut()
    }

    fn sealer(&self) -> Option<LaneSealer> {
        (**self).sealer()
    }

    fn may_wait(&self) -> bool {
        (**self).may_wait()
    }

    fn full(&self) -> Option<RoomWait> {
        (**self).full()
    }

    fn resume(&mut self) -> bool {
        (**self).resume()
    }

    fn give_up(&mut self) {
        (**self).give_up();
    }
}

/// The lane downstream of a stage, whatever its event type is.
pub trait InnerLane {
    /// Like [`Lane::sealer`].
    fn sealer(&self) -> Option<LaneSealer>;
    /// Like [`Lane::may_wait`].
    fn may_wait(&self) -> bool;
    /// Like [`Lane::full`].
    fn full(&self) -> Option<RoomWait>;
    /// Like [`LaneWrite::resume`].
    fn resume(&mut self) -> bool;
    /// Like [`LaneWrite::give_up`].
    fn give_up(&mut self);
}

impl<E: Send + 'static> InnerLane for Lane<E> {
    fn sealer(&self) -> Option<LaneSealer> {
        Self::sealer(self)
    }

    fn may_wait(&self) -> bool {
        Self::may_wait(self)
    }

    fn full(&self) -> Option<RoomWait> {
        Self::full(self)
    }

    fn resume(&mut self) -> bool {
        Self::resume(self)
    }

    fn give_up(&mut self) {
        Self::give_up(self);
    }
}

/// The wait of a task for room in a lane.
///
/// Dropping it passes a wake-up for room that the task has not used on to the next publisher that
/// waits for room in the same ring.
pub struct RoomWait {
    room: TaskWait,
    /// The waits for the removal of each sink that the lane is inside. No removal knows what a lane
    /// waits for inside its sink, so a removal wakes these.
    removals: Vec<TaskWait>,
}

impl RoomWait {
    pub(crate) fn new(room: TaskWait) -> Self {
        Self { room, removals: Vec::new() }
    }

    /// Ends the wait with the removal of a sink, too.
    pub(crate) fn or_removed(mut self, removal: TaskWait) -> Self {
        self.removals.push(removal);
        self
    }

    /// Returns ready if there is room, the lane is closed, or a sink that it is inside was removed.
    /// Otherwise the task is woken when that may be so.
    pub fn poll(&mut self, task: &Waker) -> Poll<()> {
        if self.removals.iter_mut().any(|removal| removal.poll(task).is_ready()) {
            return Poll::Ready(());
        }
        self.room.poll(task)
    }

    /// Returns whether both are waits for room in the same lane. A wait that a removal has ended is
    /// the same as no other: the next publisher may get the lane inside the removed sink.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.room.is_same(&other.room) && !self.removals.iter().any(TaskWait::is_over)
    }
}

impl fmt::Debug for RoomWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomWait")
    }
}

/// A handle that seals one lane from outside.
#[derive(Clone)]
pub struct LaneSealer(Arc<dyn Seal>);

/// Seals a lane in steps. Lanes that are sealed together share one fence between `mark` and `fix`.
pub(crate) trait Seal: Send + Sync {
    /// Marks the lane: no event that is pushed after the fence enters it.
    fn mark(&self);
    /// Decides which events were accepted, where that is undecided.
    fn fix(&self);
    /// Wakes the consumer, and a publisher that waits for room, whose push then returns.
    fn wake_all(&self);
}

/// Several lanes that their publisher uses as one.
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
    /// Makes a sealer from the implementation that a stage provides.
    pub(crate) fn new(seal: Arc<dyn Seal>) -> Self {
        Self(seal)
    }

    /// Combines two sealers of lanes that their publisher uses as one.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(Arc::new(vec![self, other]))
    }

    /// Combines the sealers of several lanes that their publisher uses as one, or returns `None` if
    /// one of the lanes cannot be sealed from outside.
    pub(crate) fn of_all<E>(lanes: &[impl PlainLane<E>]) -> Option<Self> {
        let parts = lanes.iter().map(|lane| lane.seal().map(Self));
        Some(Self(Arc::new(parts.collect::<Option<Vec<_>>>()?)))
    }

    /// Seals many lanes: afterward no event enters them, and it is known which events were
    /// accepted.
    ///
    /// `fence` is called after all lanes are marked. It is a heavy fence, or a step with the same
    /// effect: each publisher sees the mark of its lane, or its push is visible to this thread.
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
