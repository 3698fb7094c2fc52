//! The buses of a process that can be inspected.

use crate::frame::{BusFrame, Frame, VERSION};
use crate::observe::{milliseconds, observed};
use crate::release::Releases;
use crate::tap::{Permitted, Tap, TapError, TapSettings};
use buslane::stats::Snapshot;
use buslane::{Bus, WeakBus};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

/// The registered buses of a process, from which frames are made and servers are started.
///
/// Clones share the list of buses. An inspector keeps no bus open: a bus that is gone is no longer
/// shown. If another bus that still exists has the name already, the name gets a number, such as
/// `orders (2)`.
///
/// # Examples
/// ```
/// use buslane::{Bus, noop};
/// use buslane_inspect::Inspector;
/// let bus = Bus::<u32>::new();
/// bus.add_named("audit", noop())?;
/// let inspector = Inspector::new();
/// inspector.register("orders", &bus);
/// assert_eq!(inspector.frame().buses[0].sinks[0].name, "audit");
///
/// drop(bus);
/// assert!(inspector.frame().buses.is_empty());
/// # Ok::<(), buslane::error::AddError>(())
/// ```
#[derive(Clone)]
pub struct Inspector {
    shared: Arc<Shared>,
}

struct Shared {
    program: String,
    started_ms: u64,
    buses: Mutex<Vec<Registered>>,
    releases: Releases,
}

#[derive(Clone)]
struct Registered {
    name: String,
    source: Arc<dyn Source>,
}

/// A bus of any type of event.
trait Source: Send + Sync {
    /// Returns the state of the bus, if it still exists.
    fn snapshot(&self) -> Option<Snapshot>;

    /// Returns whether events may be shown.
    fn may_tap(&self) -> bool {
        false
    }

    fn tap(&self, settings: &TapSettings, releases: &Releases) -> Result<Box<dyn Tap>, TapError> {
        let _ = (settings, releases);
        Err(TapError::NotPermitted)
    }
}

struct Counted<E: Send + 'static>(WeakBus<E>);

impl<E: Send + 'static> Source for Counted<E> {
    fn snapshot(&self) -> Option<Snapshot> {
        self.0.snapshot()
    }
}

impl<E: Send + 'static> Source for Permitted<E> {
    fn snapshot(&self) -> Option<Snapshot> {
        self.bus.snapshot()
    }

    fn may_tap(&self) -> bool {
        true
    }

    fn tap(&self, settings: &TapSettings, releases: &Releases) -> Result<Box<dyn Tap>, TapError> {
        self.open(settings, releases)
    }
}

impl Inspector {
    /// Creates an inspector without buses, named after the program.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder.
    pub fn builder() -> InspectorBuilder {
        InspectorBuilder { program: None, buses: Vec::new() }
    }

    /// Returns the inspector of the process, which [`register`](crate::register) and
    /// [`serve`](crate::serve) use.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<Inspector> = OnceLock::new();
        GLOBAL.get_or_init(Self::new)
    }

    /// Shows the state of a bus, and none of its events.
    pub fn register<E: Send + 'static>(&self, name: &str, bus: &Bus<E>) {
        self.add(name, Arc::new(Counted(bus.downgrade())));
    }

    /// Shows the state of a bus, and permits a reader to tap its events.
    ///
    /// `render` makes what is shown of an event: a text, or any other value that can be serialized.
    /// It runs on the thread of the server. For as long as a reader taps, a bounded lossy channel is
    /// a sink of the bus: publishers clone the event into it, and never wait for it.
    ///
    /// # Examples
    /// ```
    /// use buslane_inspect::Inspector;
    /// let bus = buslane::Bus::<u32>::new();
    /// Inspector::new().tap("orders", &bus, |order| format!("order {order}"));
    /// ```
    pub fn tap<E: Send + 'static, T: Serialize>(
        &self,
        name: &str,
        bus: &Bus<E>,
        render: impl Fn(&E) -> T + Send + Sync + 'static,
    ) {
        self.add(name, Arc::new(Permitted::new(bus, render)));
    }

    /// Like [`tap`](Self::tap), for events that serialize themselves.
    pub fn tap_json<E: Serialize + Send + 'static>(&self, name: &str, bus: &Bus<E>) {
        self.add(name, Arc::new(Permitted::json(bus)));
    }

    fn add(&self, name: &str, source: Arc<dyn Source>) {
        // A snapshot may run user code, which must not run under the lock.
        let known = self.existing();
        let mut buses = self.lock();
        buses.retain(|bus| known.iter().all(|(gone, snapshot)| snapshot.is_some() || !gone.is(bus)));
        let taken = |name: &str| buses.iter().any(|bus| bus.name == name);
        let mut unique = name.to_owned();
        let mut number = 2_u32;
        while taken(&unique) {
            unique = format!("{name} ({number})");
            number += 1;
        }
        buses.push(Registered { name: unique, source });
    }

    /// Returns all buses, each with its state if it still exists.
    fn existing(&self) -> Vec<(Registered, Option<Snapshot>)> {
        let buses = self.lock().clone();
        let state = |bus: Registered| {
            let snapshot = bus.source.snapshot();
            (bus, snapshot)
        };
        buses.into_iter().map(state).collect()
    }

    /// Returns the state of each bus that still exists, and forgets the others.
    fn snapshots(&self) -> Vec<(Registered, Snapshot)> {
        let known = self.existing();
        if known.iter().any(|(_, snapshot)| snapshot.is_none()) {
            let gone = |bus: &Registered| known.iter().any(|(it, state)| state.is_none() && it.is(bus));
            self.lock().retain(|bus| !gone(bus));
        }
        known.into_iter().filter_map(|(bus, snapshot)| Some((bus, snapshot?))).collect()
    }

    /// Takes the state of all buses, without warnings.
    #[must_use]
    pub fn frame(&self) -> Frame {
        let bus = |(bus, snapshot): (Registered, Snapshot)| BusFrame {
            name: bus.name,
            tap: bus.source.may_tap(),
            closed: snapshot.closed,
            publishers: snapshot.publishers as u64,
            sinks: snapshot.sinks.into_iter().map(observed).collect(),
        };
        Frame {
            version: VERSION,
            program: self.shared.program.clone(),
            pid: std::process::id(),
            started_ms: self.shared.started_ms,
            at_ms: now_ms(),
            buses: self.snapshots().into_iter().map(bus).collect(),
            warnings: Vec::new(),
        }
    }

    /// Returns the name and the state of each bus that still exists.
    pub(crate) fn named_snapshots(&self) -> Vec<(String, Snapshot)> {
        self.snapshots().into_iter().map(|(bus, snapshot)| (bus.name, snapshot)).collect()
    }

    /// Opens a tap of a bus.
    pub(crate) fn open_tap(&self, bus: &str, settings: &TapSettings) -> Result<Box<dyn Tap>, TapError> {
        let found = self.lock().iter().find(|registered| registered.name == bus).cloned();
        found.ok_or(TapError::Unknown)?.source.tap(settings, &self.shared.releases)
    }

    /// Waits until no handle of a bus is left from the opening of a tap.
    pub(crate) fn wait_for_releases(&self) {
        self.shared.releases.wait();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Registered>> {
        // A panic cannot leave the list in the middle of a change.
        self.shared.buses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

impl Default for Inspector {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buses = self.lock().len();
        f.debug_struct("Inspector").field("program", &self.shared.program).field("buses", &buses).finish()
    }
}

/// The settings of an [`Inspector`].
///
/// # Examples
/// ```
/// use buslane_inspect::{At, Inspector};
/// let bus = buslane::Bus::<u32>::new();
/// let serving = Inspector::builder()
///     .program("shop")
///     .tap("orders", &bus, |order| format!("order {order}"))
///     .serve(At::Loopback(0))?;
/// # drop(serving);
/// # Ok::<(), buslane_inspect::error::ServeError>(())
/// ```
#[must_use = "a builder does nothing until it builds an inspector or starts a server"]
pub struct InspectorBuilder {
    program: Option<String>,
    buses: Vec<(String, Arc<dyn Source>)>,
}

impl InspectorBuilder {
    /// Sets the name of the program. The default is the file name of the executable as it was
    /// called.
    pub fn program(mut self, name: &str) -> Self {
        self.program = Some(name.to_owned());
        self
    }

    /// Adds a bus as [`Inspector::register`] does.
    pub fn register<E: Send + 'static>(mut self, name: &str, bus: &Bus<E>) -> Self {
        self.buses.push((name.to_owned(), Arc::new(Counted(bus.downgrade()))));
        self
    }

    /// Adds a bus as [`Inspector::tap`] does.
    pub fn tap<E: Send + 'static, T: Serialize>(
        mut self,
        name: &str,
        bus: &Bus<E>,
        render: impl Fn(&E) -> T + Send + Sync + 'static,
    ) -> Self {
        self.buses.push((name.to_owned(), Arc::new(Permitted::new(bus, render))));
        self
    }

    /// Adds a bus as [`Inspector::tap_json`] does.
    pub fn tap_json<E: Serialize + Send + 'static>(mut self, name: &str, bus: &Bus<E>) -> Self {
        self.buses.push((name.to_owned(), Arc::new(Permitted::json(bus))));
        self
    }

    /// Makes the inspector.
    #[must_use]
    pub fn build(self) -> Inspector {
        let program = self.program.unwrap_or_else(called);
        let shared =
            Shared { program, started_ms: now_ms(), buses: Mutex::default(), releases: Releases::default() };
        let inspector = Inspector { shared: Arc::new(shared) };
        for (name, source) in self.buses {
            inspector.add(&name, source);
        }
        inspector
    }
}

impl fmt::Debug for InspectorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.buses.iter().map(|(name, _)| name).collect();
        f.debug_struct("InspectorBuilder").field("program", &self.program).field("buses", &names).finish()
    }
}

/// Returns the file name by which the program was called.
fn called() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    Path::new(&called).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn now_ms() -> u64 {
    milliseconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
