//! The mailbox itself: its fields, and how it is made.

use super::counters::{BacklogMark, ConsumerCounters};
use super::members::Members;
use super::overflow::Overflow;
use super::registry::Registry;
use super::shared_lane::SharedLane;
use super::signals::Signals;
use crate::error::BuildError;
use crate::stats::{DropReason, Scales};
use crate::sync::membarrier::{FencePair, process_pair};
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, CachePadded, Mutex};
use crate::wait::context::{Crew, Quiet};
use crate::wait::crowd::Crowd;
use crate::wait::strategy::spin_looks;
use crate::wait::{WaitCell, WaitList, WaitStrategy};

/// Told of each event that is dropped after it was accepted, with the reason.
pub(crate) type OnDrop<E> = std::sync::Arc<dyn Fn(E, DropReason) + Send + Sync>;

/// A hook whose destructor may panic: its last owner may be a publisher that drops its lane.
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
    /// Those who read from it, and from the other mailboxes of the same queue.
    pub(crate) crew: Crew,
    /// Where events are batches: what becomes of the events in them, here and in the other
    /// mailboxes of the same queue.
    pub(crate) scales: std::sync::Arc<Scales>,
}

impl<E> Clone for MailboxConfig<E> {
    fn clone(&self) -> Self {
        let (on_drop, crew, scales) = (self.on_drop.clone(), self.crew.clone(), self.scales.clone());
        Self { on_drop, crew, scales, ..*self }
    }
}

/// See the [module](super).
pub(crate) struct Mailbox<E> {
    pub(crate) signals: std::sync::Arc<Signals>,
    pub(crate) shared: SharedLane<E>,
    capacity: usize,
    pub(super) overflow: Overflow,
    pub(crate) wait: WaitStrategy,
    pub(super) on_drop: Option<OnDrop<E>>,
    /// Those who read from it: no wait of theirs is for room in it, or for its end.
    pub(crate) crew: Crew,
    /// Where events are batches: what becomes of the events in them.
    pub(crate) scales: std::sync::Arc<Scales>,
    pub(super) registry: Mutex<Registry<E>>,
    /// Grows with each change of the registry that concerns the consumer.
    pub(super) generation: AtomicUsize,
    pub(super) end: AtomicU64,
    /// The backlog is to be given up.
    pub(super) aborted: AtomicBool,
    /// The consumer is dropped, or has handled the last event.
    pub(super) drained: AtomicBool,
    pub(crate) consumer: ConsumerCounters,
    /// The consumers when there are several.
    pub(super) members: Members,
    pub(super) backlog: Mutex<BacklogMark>,
}

impl<E: Send + 'static> Mailbox<E> {
    /// A mailbox with one consumer or several, which its caller makes.
    pub(super) fn new(config: MailboxConfig<E>, several: bool) -> Result<Arc<Self>, BuildError> {
        let wait = config.wait.check()?;
        // Asked once per process, and here rather than by the first publisher that meets a full
        // lane: it reads files.
        let _ = spin_looks();
        let pair = if wait.parks_rarely() { process_pair() } else { FencePair::Symmetric };
        let shared =
            if config.unbounded { SharedLane::unbounded() } else { SharedLane::bounded(config.capacity)? };
        Ok(Arc::new(Self {
            signals: std::sync::Arc::new(Signals {
                cell: CachePadded::new(WaitCell::new(pair)),
                blocked: WaitList::new(process_pair()),
                crowd: several.then(|| Crowd::new(pair)),
            }),
            shared,
            capacity: config.capacity,
            overflow: config.overflow,
            wait,
            on_drop: config.on_drop,
            crew: config.crew,
            scales: config.scales,
            registry: Mutex::new(Registry::new()),
            generation: AtomicUsize::new(0),
            end: AtomicU64::new(0),
            aborted: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            consumer: ConsumerCounters::default(),
            members: Members::default(),
            backlog: Mutex::new(BacklogMark::default()),
        }))
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}
