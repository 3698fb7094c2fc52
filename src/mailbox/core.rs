//! The mailbox itself: its fields and its constructor.

use super::ages::Backlog;
use super::counters::ConsumerCounters;
use super::dormant::ActiveGroups;
use super::members::Members;
use super::overflow::Overflow;
use super::registry::LaneRegistry;
use super::shared_lane::SharedLane;
use super::signals::Signals;
use crate::error::BuildError;
use crate::ring::mpmc::SoleConsumer;
use crate::stats::{DropReason, Scales};
use crate::sync::membarrier::{FencePair, process_pair};
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, CachePadded, Mutex};
use crate::wait::context::{Crew, Quiet};
use crate::wait::crowd::Crowd;
use crate::wait::strategy::spin_looks;
use crate::wait::{WaitCell, WaitList, WaitStrategy};

/// The hook that is called with each event that is dropped after it was accepted, and the reason.
pub(crate) type OnDrop<E> = std::sync::Arc<dyn Fn(E, DropReason) + Send + Sync>;

/// Wraps a hook so that a panic of its destructor is caught: its last owner may be a publisher that
/// drops its lane.
pub(crate) fn quiet_hook<E>(hook: impl Fn(E, DropReason) + Send + Sync + 'static) -> OnDrop<E> {
    let hook = Quiet::new(hook);
    std::sync::Arc::new(move |event, reason| (*hook)(event, reason))
}

/// The settings of a mailbox. Clones share the hook.
pub(crate) struct MailboxConfig<E> {
    pub(crate) capacity: usize,
    pub(crate) unbounded: bool,
    pub(crate) overflow: Overflow,
    pub(crate) wait: WaitStrategy,
    pub(crate) on_drop: Option<OnDrop<E>>,
    /// The threads that read from the mailbox and from the other mailboxes of the same queue.
    pub(crate) crew: Crew,
    /// If events are batches: the disposition of the events in them, here and in the other
    /// mailboxes of the same queue.
    pub(crate) scales: std::sync::Arc<Scales>,
}

impl<E> MailboxConfig<E> {
    /// Returns the defaults of a bounded mailbox, with this wait strategy.
    pub(crate) fn new(wait: WaitStrategy) -> Self {
        Self {
            capacity: 1024,
            unbounded: false,
            overflow: Overflow::default(),
            wait,
            on_drop: None,
            crew: Crew::new(),
            scales: std::sync::Arc::default(),
        }
    }
}

impl<E> Clone for MailboxConfig<E> {
    fn clone(&self) -> Self {
        let (on_drop, crew, scales) = (self.on_drop.clone(), self.crew.clone(), self.scales.clone());
        Self { on_drop, crew, scales, ..*self }
    }
}

/// The lanes, the consumer's wait cell, the overflow policy and the counters of a queue or channel.
pub(crate) struct Mailbox<E> {
    pub(crate) signals: std::sync::Arc<Signals>,
    pub(crate) shared: SharedLane<E>,
    capacity: usize,
    pub(super) overflow: Overflow,
    pub(crate) wait: WaitStrategy,
    pub(super) on_drop: Option<OnDrop<E>>,
    /// The threads that read from the mailbox: none of them may wait for room in it, or for its
    /// end.
    pub(crate) crew: Crew,
    /// If events are batches: the disposition of the events in them.
    pub(crate) scales: std::sync::Arc<Scales>,
    pub(super) registry: Mutex<LaneRegistry<E>>,
    /// Grows with each change of the registry that the consumer has to see.
    pub(super) generation: AtomicUsize,
    pub(super) end: AtomicU64,
    /// Whether the consumer discards the backlog.
    pub(super) aborted: AtomicBool,
    /// Whether the consumer was dropped or has handled the last event.
    pub(super) drained: AtomicBool,
    pub(crate) consumer: ConsumerCounters,
    /// The consumers, if there are several.
    pub(super) members: Members,
    pub(super) backlog: Mutex<Backlog>,
}

impl<E: Send + 'static> Mailbox<E> {
    /// Makes a mailbox. Its caller makes the consumer, or the consumers if `several`.
    ///
    /// Where no other thread takes events from the shared lane, its one consumer gets the right to
    /// be the only one.
    pub(super) fn new(
        config: MailboxConfig<E>,
        several: bool,
    ) -> Result<(Arc<Self>, Option<SoleConsumer>), BuildError> {
        let wait = config.wait.check()?;
        // Computed once per process, and here rather than by the first publisher that finds a lane
        // full, since it reads files.
        let _ = spin_looks();
        let (shared, sole) = if config.unbounded {
            (SharedLane::unbounded(), None)
        } else if several || config.overflow == Overflow::DropOldest {
            (SharedLane::bounded(config.capacity)?, None)
        } else {
            let (shared, sole) = SharedLane::bounded_for_one(config.capacity)?;
            (shared, Some(sole))
        };
        let mailbox = Arc::new(Self {
            signals: std::sync::Arc::new(Signals {
                cell: CachePadded::new(WaitCell::new(process_pair())),
                blocked: WaitList::new(process_pair()),
                crowd: several.then(|| {
                    Crowd::new(if wait.parks_rarely() { process_pair() } else { FencePair::Symmetric })
                }),
                active: ActiveGroups::default(),
            }),
            shared,
            capacity: config.capacity,
            overflow: config.overflow,
            wait,
            on_drop: config.on_drop,
            crew: config.crew,
            scales: config.scales,
            registry: Mutex::new(LaneRegistry::new()),
            generation: AtomicUsize::new(0),
            end: AtomicU64::new(0),
            aborted: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            consumer: ConsumerCounters::default(),
            members: Members::default(),
            backlog: Mutex::new(Backlog::default()),
        });
        Ok((mailbox, sole))
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}
