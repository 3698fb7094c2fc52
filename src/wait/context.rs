//! The call context of a thread: what it does for the crate, and so which waits it may enter.
//!
//! The crate calls user code in many places: sinks, handlers, hooks, clones and destructors of
//! events. User code may call the crate again, and a wait that it enters there may be a wait for
//! its own caller. Marks on the thread rule that out. All marks are in one record without a
//! destructor, so they can be read until the thread ends. Only cold paths read them.
//! | mark | set around | rules out, until it is dropped |
//! |---|---|---|
//! | [`UserCode`] | every call of user code | every wait |
//! | [`Delivery`] | the call of a sink on the publishing thread | every wait, and more than [`DEPTH_LIMIT`] levels, which ends cycles of buses |
//! | [`InnerBus`] | a publish on a bus that is a sink of another one | more than [`DEPTH_LIMIT`] levels; it may wait for room |
//! | `Disposal` | the destructor of a value that a user gave to the crate | every wait, except that of a last handle's drop |
//! | [`WaitedFor`] | work for which a removal, a close or a flush on another thread waits | waits for calls in progress, closes, flushes |
//! | [`Crew::enter`], [`Crew::read`] | the consumer of a mailbox, the closer of a batch | waits for room in, and the end of, that same object |
//! | [`AtWork`] | the worker of a queue | waits for calls in progress |
//! | [`Visit`] | a flush, a control, the creation of lanes, at one bus or queue | the same operation there again, which ends cycles of these |
//! | [`DeferredWaits`] | closes and flushes of several sinks | waits for their ends: the caller that began waits for all of them |
//! | [`WaitLimit`] | a sink with a timeout, a close, a flush | waits after its deadline |
//! | [`TaskPublish`] | a publish of a task into a sink that may make it wait | nothing: a stage that branches keeps the event for an inner sink without room |
//! | [`HandleDrop`] | the drop of a last handle | waits after the one deadline of all drops on this thread |
//! | [`LastOffer`] | the events that an expired close returns, and late letters | attempts, and second attempts: the event goes to the dead letters |
//!
//! `UserCode` is for code that needs no wait to be correct. `WaitedFor` is for code that waits for
//! room as part of its job (a publish into a sink that blocks), and during which other threads must
//! not wait for it. A thread that holds nothing waits only for other threads. None of those waits
//! for it, since they hold nothing while they wait for calls, closes or flushes.
//!
//! | file | holds |
//! |---|---|
//! | `user_code` | calls of user code: marks, caught panics, dropped values; `Delivery`, `InnerBus`, `Disposal` |
//! | `quiet` | a value whose destructor may panic |
//! | `visit`, `crew` | what this thread does with which object |
//! | `limit` | how long calls on this thread may wait |
//! | `task_publish` | the publish of a task on this thread |

mod crew;
mod limit;
mod quiet;
mod task_publish;
mod user_code;
mod visit;

pub(crate) use crew::Crew;
pub(crate) use limit::{HandleDrop, LastOffer, WaitLimit};
pub(crate) use quiet::Quiet;
pub(crate) use task_publish::TaskPublish;
pub(crate) use user_code::{
    Delivery, InnerBus, UserCode, caught, cloned, discard, discard_each, dispose, dispose_each, error_text,
    event_of, quietly, text_or_panic, user_code,
};
pub(crate) use visit::{Holding, Purpose, Visit, Visits, flush_goal, is_on_the_way};

use crate::deadline::Deadline;
use crate::error::DEPTH_LIMIT;
use crate::sync::per_thread;
use limit::{AttemptsLeft, ThreadLimits};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use visit::Here;

/// A value that keeps a removal waiting.
type Hold = Arc<dyn Any + Send + Sync>;

/// All marks of one thread.
struct CallContext {
    /// The nesting depth of user code.
    user_code: Cell<u32>,
    /// The number of nested operations for which other threads wait.
    waited_for: Cell<u32>,
    /// The address of the innermost crew whose events this thread shows to user code. Outer ones
    /// are visits.
    reading: Cell<usize>,
    /// The depth at which buses and sinks call each other.
    depth: Cell<u32>,
    /// The user code depth of a destructor that may still wait for a queue to end.
    disposing: Cell<Option<u32>>,
    /// Whether this is the worker of a queue.
    works: Cell<bool>,
    /// The number of closes and flushes of several sinks in progress.
    deferred: Cell<u32>,
    limits: Cell<ThreadLimits>,
    /// The user code depth of the innermost publish of a task.
    task_publish: Cell<Option<u32>>,
    dropping: Cell<Option<Deadline>>,
    attempts_left: Cell<AttemptsLeft>,
    visits: Here,
    /// The holds of the flushes in progress on this thread. Without a destructor, like the visits.
    holds: RefCell<ManuallyDrop<Vec<Hold>>>,
}

per_thread! {
    static CONTEXT: CallContext = CallContext {
        user_code: Cell::new(0),
        waited_for: Cell::new(0),
        reading: Cell::new(0),
        depth: Cell::new(0),
        disposing: Cell::new(None),
        works: Cell::new(false),
        deferred: Cell::new(0),
        limits: Cell::new(ThreadLimits::NONE),
        task_publish: Cell::new(None),
        dropping: Cell::new(None),
        attempts_left: Cell::new(AttemptsLeft::AsThePolicySays),
        visits: Here::nowhere(),
        holds: RefCell::new(ManuallyDrop::new(Vec::new())),
    }
}

/// Reads or changes the marks of this thread. Returns `gone` if a model has dropped them already.
#[inline(always)]
fn of_this_thread<R>(gone: R, f: impl FnOnce(&CallContext) -> R) -> R {
    CONTEXT.try_with(f).unwrap_or(gone)
}

fn user_code_depth() -> u32 {
    of_this_thread(0, |context| context.user_code.get())
}

/// Returns whether the current thread must not wait for a call in progress, a close or a flush.
///
/// That is so in user code, and in work for which other threads wait.
pub(crate) fn must_not_wait() -> bool {
    of_this_thread(false, |context| {
        context.user_code.get() > 0 || context.waited_for.get() > 0 || context.reading.get() != 0
    })
}

/// Returns whether the current thread may wait for room: everywhere except in user code.
pub(crate) fn may_wait_for_room() -> bool {
    user_code_depth() == 0
}

/// Returns whether the drop of a last handle may wait briefly for what it closes.
pub(crate) fn may_wait_to_drop() -> bool {
    let disposing = of_this_thread(None, |context| context.disposing.get());
    !must_not_wait() || disposing == Some(user_code_depth())
}

/// A mark: removals, closes and flushes on other threads wait for this thread, until it is dropped.
///
/// The thread enters none of those waits meanwhile. It may still wait for room.
#[must_use]
pub(crate) struct WaitedFor(());

impl WaitedFor {
    #[inline(always)]
    pub(crate) fn begin() -> Self {
        of_this_thread((), |context| context.waited_for.set(context.waited_for.get() + 1));
        Self(())
    }
}

impl Drop for WaitedFor {
    #[inline(always)]
    fn drop(&mut self) {
        of_this_thread((), |context| context.waited_for.set(context.waited_for.get().wrapping_sub(1)));
    }
}

/// A mark: this thread is the worker of a queue, until it is dropped.
#[must_use]
pub(crate) struct AtWork {
    outer: bool,
}

impl AtWork {
    pub(crate) fn begin() -> Self {
        Self { outer: of_this_thread(false, |context| context.works.replace(true)) }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        of_this_thread((), |context| context.works.set(self.outer));
    }
}

/// Returns whether the current thread is the worker of a queue.
///
/// A call in progress may wait for room that this worker makes, so the worker waits for no call.
pub(crate) fn is_worker() -> bool {
    of_this_thread(false, |context| context.works.get())
}

/// A mark: queues, channels and buses that are closed or flushed on this thread are only told.
///
/// The caller that began waits for all of them.
#[must_use]
pub(crate) struct DeferredWaits(());

impl DeferredWaits {
    pub(crate) fn begin() -> Self {
        of_this_thread((), |context| context.deferred.set(context.deferred.get() + 1));
        Self(())
    }
}

impl Drop for DeferredWaits {
    fn drop(&mut self) {
        of_this_thread((), |context| context.deferred.set(context.deferred.get().saturating_sub(1)));
    }
}

/// Returns whether a close or a flush of several sinks is in progress on this thread, whose caller
/// waits for all sinks that are told.
pub(crate) fn waits_are_deferred() -> bool {
    of_this_thread(0, |context| context.deferred.get()) > 0
}

/// Which caller waits for the end of a close or a flush after the request for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The caller that requests it.
    Here,
    /// The caller that closes or flushes several sinks, once it has requested all of them.
    Deferred,
}

impl Wait {
    /// Returns who waits for a request that is made on this thread.
    pub(crate) fn of_this_thread() -> Self {
        if waits_are_deferred() { Self::Deferred } else { Self::Here }
    }
}

#[cfg(test)]
mod tests {
    use super::user_code::Disposal;
    use super::visit::NEAR;
    use super::{Crew, DEPTH_LIMIT, Delivery, InnerBus, Purpose, UserCode, Visit, WaitedFor};
    use super::{may_wait_for_room, may_wait_to_drop, must_not_wait};

    #[test]
    fn marks_end_with_their_scopes() {
        assert!(!must_not_wait() && may_wait_for_room() && may_wait_to_drop());
        {
            let _held = WaitedFor::begin();
            assert!(must_not_wait() && may_wait_for_room() && !may_wait_to_drop());
            let _disposal = Disposal::begin();
            assert!(!may_wait_for_room() && !may_wait_to_drop());
        }
        {
            let _disposal = Disposal::begin();
            assert!(must_not_wait() && !may_wait_for_room() && may_wait_to_drop());
            {
                let _inner = Disposal::begin();
                assert!(may_wait_to_drop());
            }
            assert!(may_wait_to_drop());
            let _user_code = UserCode::enter();
            assert!(!may_wait_to_drop());
        }
        assert!(!must_not_wait() && may_wait_for_room() && may_wait_to_drop());
    }

    #[test]
    fn refused_nesting_level_is_not_counted() {
        let levels: Vec<_> = (0..DEPTH_LIMIT).map(|_| InnerBus::enter()).collect();
        assert!(levels.iter().all(Option::is_some));
        for _ in 0..3 {
            assert!(InnerBus::enter().is_none() && Delivery::enter().is_none());
        }
        assert!(may_wait_for_room(), "a refused delivery must not count as user code");
        drop(levels);
        assert!(Delivery::enter().is_some());
    }

    #[test]
    fn visits_stay_distinct_at_any_number() {
        let visits: Vec<_> = (0..3 * NEAR).map(|at| Visit::begin(at, Purpose::Control)).collect();
        assert!(visits.iter().all(Option::is_some));
        assert!((0..3 * NEAR).all(|at| Visit::begin(at, Purpose::Control).is_none()));
        assert!(Visit::begin(0, Purpose::Flush).is_some());
        drop(visits);
        assert!((0..3 * NEAR).all(|at| Visit::begin(at, Purpose::Control).is_some()));
    }

    #[test]
    fn crew_is_recognized_through_its_clones() {
        let (crew, other) = (Crew::new(), Crew::new());
        let visit = crew.enter();
        assert!(visit.is_some() && crew.clone().is_here() && !other.is_here());
        assert!(crew.enter().is_none());
        assert!(crew.is_here(), "a refused second entry must not end the first");
        drop(visit);
        assert!(!crew.is_here());
        {
            let _outer = crew.read();
            let _inner = other.read();
            assert!(crew.is_here() && other.is_here() && must_not_wait() && may_wait_for_room());
        }
        assert!(!crew.is_here() && !other.is_here() && !must_not_wait());
    }
}
