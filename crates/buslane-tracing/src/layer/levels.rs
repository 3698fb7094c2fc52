//! The filter of a layer: a level for each target, which can change while the program runs.

use super::decisions::Decisions;
use crate::record::is_log;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tracing_core::subscriber::Interest;
use tracing_core::{LevelFilter, Metadata, callsite};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter};

/// Every level, in the order of their numbers in [`Shared::most`].
const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

/// The filter that comes with every layer of this crate: a level for each target.
///
/// The answer for a callsite is always or never, so tracing caches it, and a disabled event costs
/// what it costs without a subscriber. [`set`](Self::set) changes the levels while the program runs;
/// unlike `tracing_subscriber::reload` it takes no lock per event. Clones share the levels.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane_tracing::Record;
/// use tracing_subscriber::filter::Targets;
/// use tracing::Level;
///
/// let bus: Bus<Record> = Bus::new();
/// let layer = buslane_tracing::layer(&bus);
/// let levels = layer.levels();
/// let filtered = layer.build::<tracing_subscriber::Registry>();
/// // Later, from a signal or an administrator's request:
/// levels.set("warn,my_service::db=trace".parse::<Targets>()?);
/// assert!(levels.would_enable("my_service::db", &Level::TRACE));
/// # drop(filtered);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Levels(Arc<Shared>);

struct Shared {
    /// Moves with each change of the targets, under their lock. A decision is valid only in the
    /// generation in which it was made.
    ///
    /// `Relaxed`: an event that is logged while the levels change may be judged by the old ones.
    generation: AtomicU64,
    /// The position in [`LEVELS`] of the most verbose level of any target.
    most: AtomicU8,
    decisions: Decisions,
    targets: RwLock<Targets>,
    /// Whether spans are disabled. Set before the first question. `Relaxed`, as the answers.
    ignores_spans: AtomicBool,
    /// Whether the maximum level of the `log` facade follows. `Relaxed`, as the level itself.
    #[cfg(feature = "log")]
    controls_log: AtomicBool,
}

impl Levels {
    pub(crate) fn new(targets: Targets) -> Self {
        let most = AtomicU8::new(most(&targets));
        let targets = RwLock::new(targets);
        Self(Arc::new(Shared {
            generation: AtomicU64::new(1),
            most,
            decisions: Decisions::new(),
            targets,
            ignores_spans: AtomicBool::new(false),
            #[cfg(feature = "log")]
            controls_log: AtomicBool::new(false),
        }))
    }

    /// Replaces the levels of all targets, and lets tracing ask again for every callsite.
    ///
    /// A change to a more verbose level takes effect although the callsites were disabled before.
    /// This takes a moment: it visits each callsite and subscriber of the process. Call it from no
    /// sink and no layer.
    pub fn set(&self, targets: Targets) {
        let mut held = self.0.targets.write().unwrap_or_else(PoisonError::into_inner);
        self.0.most.store(most(&targets), Ordering::Relaxed);
        let old = std::mem::replace(&mut *held, targets);
        self.0.generation.fetch_add(1, Ordering::Relaxed);
        // The rebuild calls this filter, which reads the targets.
        drop(held);
        drop(old);
        #[cfg(feature = "log")]
        self.set_log_level();
        callsite::rebuild_interest_cache();
    }

    /// Replaces the levels of all targets by one level.
    pub fn set_level(&self, level: impl Into<LevelFilter>) {
        self.set(Targets::new().with_default(level));
    }

    /// Returns the levels of all targets.
    #[must_use]
    pub fn targets(&self) -> Targets {
        self.read(|targets, _| targets.clone())
    }

    /// Returns whether an event of this target and level is recorded.
    #[must_use]
    pub fn would_enable(&self, target: &str, level: &tracing_core::Level) -> bool {
        self.read(|targets, _| targets.would_enable(target, level))
    }

    /// Returns the number of the most verbose level of a target, from 0 for none to 5 for `TRACE`, and
    /// the generation in which that is so.
    #[cfg(feature = "log")]
    pub(crate) fn most_of(&self, target: &str) -> (u64, u64) {
        self.read(|targets, generation| {
            let is_enabled = |level: &LevelFilter| {
                level.into_level().is_some_and(|level| targets.would_enable(target, &level))
            };
            let most = LEVELS.iter().rposition(is_enabled).unwrap_or(0);
            (most as u64, generation)
        })
    }

    /// Keeps the maximum level of the `log` facade at the most verbose level from now on.
    #[cfg(feature = "log")]
    pub(crate) fn control_log(&self) {
        self.0.controls_log.store(true, Ordering::Relaxed);
        self.set_log_level();
    }

    #[cfg(feature = "log")]
    fn set_log_level(&self) {
        if self.0.controls_log.load(Ordering::Relaxed) {
            ::log::set_max_level(match self.0.most.load(Ordering::Relaxed) {
                0 => ::log::LevelFilter::Off,
                1 => ::log::LevelFilter::Error,
                2 => ::log::LevelFilter::Warn,
                3 => ::log::LevelFilter::Info,
                4 => ::log::LevelFilter::Debug,
                _ => ::log::LevelFilter::Trace,
            });
        }
    }

    /// Disables all spans, for a layer that does not record them: they then cost nothing.
    pub(crate) fn ignore_spans(&self) {
        self.0.ignores_spans.store(true, Ordering::Relaxed);
    }

    fn ignores(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && self.0.ignores_spans.load(Ordering::Relaxed)
    }

    /// Returns whether an event or span of this callsite is recorded.
    ///
    /// A layer asks this again for each event: the bits in which tracing-subscriber keeps the answers
    /// of its filters may be those of another event.
    #[inline]
    pub(crate) fn allow(&self, metadata: &'static Metadata<'static>) -> bool {
        self.known(metadata).unwrap_or_else(|| self.decide(metadata))
    }

    /// Returns what the table says about the callsite, if it was asked in this generation.
    #[inline]
    fn known(&self, metadata: &Metadata<'_>) -> Option<bool> {
        // Metadata that is not static has an address that no static data has, so it is not found.
        let known = self.0.decisions.get(address(metadata));
        let generation = self.0.generation.load(Ordering::Relaxed);
        (known >> 1 == generation).then_some(known & 1 == 1)
    }

    #[cold]
    fn decide(&self, metadata: &'static Metadata<'static>) -> bool {
        self.read(|targets, generation| {
            let allowed = if self.ignores(metadata) {
                false
            } else if is_log(metadata) {
                // The target of the event is in a field. The bridge has asked about it before.
                *metadata.level() <= self.most()
            } else {
                Filter::<Registry>::callsite_enabled(targets, metadata).is_always()
            };
            self.0.decisions.set(address(metadata), (generation << 1) | u64::from(allowed));
            allowed
        })
    }

    /// Calls `f` with the targets and their generation.
    fn read<R>(&self, f: impl FnOnce(&Targets, u64) -> R) -> R {
        let targets = self.0.targets.read().unwrap_or_else(PoisonError::into_inner);
        f(&targets, self.generation())
    }

    /// Returns the generation: the number of changes, and one.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Relaxed)
    }

    /// Returns the most verbose level of any target.
    #[inline]
    pub(crate) fn most(&self) -> LevelFilter {
        let most = usize::from(self.0.most.load(Ordering::Relaxed));
        LEVELS.get(most).copied().unwrap_or(LevelFilter::TRACE)
    }
}

fn address(metadata: &Metadata<'_>) -> usize {
    std::ptr::from_ref(metadata).addr()
}

fn most(targets: &Targets) -> u8 {
    let levels = targets.iter().map(|(_target, level)| level).chain(targets.default_level());
    let most = levels.max().unwrap_or(LevelFilter::OFF);
    (0..).zip(LEVELS).find(|(_, level)| *level == most).map_or(0, |(position, _)| position)
}

impl<S> Filter<S> for Levels {
    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        self.known(metadata).unwrap_or_else(|| {
            !self.ignores(metadata) && self.would_enable(metadata.target(), metadata.level())
        })
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.decide(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most())
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Levels").field(&self.targets().to_string()).finish()
    }
}
