//! The source of an engine's events.

use crate::address::Address;
use crate::attempt::{Attempt, lock};
use crate::client::Client;
use crate::drain::{self, Opened, Plan};
use crate::error::DockerError;
use crate::event::DockerEvent;
use crate::inbox::Inbox;
use crate::position::Position;
use crate::settings::Settings;
use crate::stream::{DockerStream, LINGER, Reader, fault};
use crate::token::DockerToken;
use buslane::source::{Fault, Session, Source};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

/// The limits of one connection: those of ping, of the head and the body of info, and of events.
const REQUESTS: u32 = 4;

/// A source of the events of a Docker Engine, or of Podman, for a
/// [`Monitor`](buslane::source::Monitor).
///
/// # Guarantees
/// - **The engine is never slowed.** A thread of the source does nothing but read and decode. It
///   never waits for the sink. When the sink is slow, the oldest events are evicted from a
///   [buffer](crate::DockerSourceBuilder::buffer), and a [`Gap`](buslane::source::Gap) with their exact
///   number comes upstream of the next event.
/// - **Continuity is proved or denied.** The engine gives events no identifiers and keeps 256 of
///   them, none across a restart. After a disconnect, the source asks from a
///   [margin](crate::DockerSourceBuilder::margin) before the last event. If the replay contains an event
///   that was received before, nothing after it is missing. If none comes within the
///   [wait](crate::DockerSourceBuilder::proof_wait), a `Gap` comes upstream of the next event.
/// - **Once.** What the replay repeats is recognized and counted as
///   [duplicates](buslane::source::MonitorSnapshot::duplicates).
/// - **From the start.** The first connection asks from the engine's time before it subscribed, so no
///   event is lost while the stream opens.
/// - **Versions** are negotiated at each connection, since a restart may be an upgrade.
/// - **Silence** is normal. After [`silence`](buslane::source::MonitorBuilder::silence), the engine is
///   pinged on another connection.
///
/// | what the engine does | what the source reports |
/// |---|---|
/// | it is not there, refuses a request, answers too late, or ends the stream | a transient [fault](DockerError), or the end; the monitor connects again |
/// | it sends an event | an event |
/// | it sends a JSON value that is no event, or an event that is too long | an undecodable item, with a gap of one event; the connection continues |
/// | it sends what is no JSON | a transient fault |
/// | it is another engine than that of the token | that the token is stale: a gap, and a new connection without the token |
/// | it ends the stream at [`until`](crate::DockerSourceBuilder::until) | that no attempt can succeed; the monitor stops |
///
/// # Limits
/// What the engine itself loses while a connection is open, because another part of the system did
/// not let this process read, leaves no trace on the stream. A stream that delivers nothing more while
/// the engine answers pings, as behind some proxies, looks like silence; list the objects anew from
/// time to time where that matters. A value that is no event, and that comes again in the replay of a
/// later process, is reported by that process as well: tokens hold events only. TLS and `ssh://` are not supported.
///
/// # Examples
/// ```no_run
/// use buslane::source::{Monitor, Update};
/// use buslane::Bus;
/// use buslane_docker::{DockerSource, Filter, Kind};
/// let source = DockerSource::builder().filter(Filter::new().kind(Kind::Container)).build()?;
/// let bus = Bus::new();
/// let mut updates = bus.subscribe_lossy(4096)?;
/// let monitor = Monitor::builder(source).spawn(bus.clone())?;
/// while let Ok(update) = updates.recv() {
///     match update {
///         Update::Event(event) => println!("{event}"),
///         Update::Gap(gap) => println!("list the containers anew: {gap}"),
///         _ => println!("{}", monitor.state()),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a source does nothing until a monitor connects to it"]
pub struct DockerSource {
    settings: Settings,
    address: Arc<Address>,
    /// The position of the last connection, which it leaves here.
    position: Arc<Mutex<Option<Position>>>,
    /// The thread of an attempt that was given up.
    abandoned: Weak<()>,
}

impl DockerSource {
    pub(crate) fn with(settings: Settings, address: Address) -> Self {
        Self { settings, address: Arc::new(address), position: Arc::default(), abandoned: Weak::new() }
    }

    /// Opens a connection that continues at a position, if there is one, and takes the position.
    fn open(&mut self, position: &mut Option<Position>, session: &Session) -> Result<DockerStream, Fault> {
        if self.abandoned.strong_count() > 0 {
            return Err(Fault::transient(DockerError::StillConnecting));
        }
        let settings = &self.settings;
        let client = Client::new(&self.address, settings.timeout);
        let inbox = Arc::new(Inbox::new(settings.buffer));
        let opening = Attempt::new();
        let interrupt = session.on_stop({
            let (client, inbox, opening) = (client.clone(), inbox.clone(), opening.clone());
            move || {
                opening.finish(Err(DockerError::Stopped));
                inbox.close();
                client.shut_down();
            }
        });
        let plan = Plan {
            engine: position.as_ref().and_then(|position| position.engine().map(str::to_owned)),
            since: position.as_ref().map_or(settings.since, Position::since),
            until: settings.until,
            filter: settings.filter.clone(),
            filters_here: settings.filters_here,
            longest: settings.longest,
        };
        let (alive, over) = (Arc::new(()), Attempt::new());
        let abandoned = Arc::downgrade(&alive);
        let spawned = thread::Builder::new().name(String::from("buslane-docker")).spawn({
            let (client, inbox, opening, over) =
                (client.clone(), inbox.clone(), opening.clone(), over.clone());
            move || {
                drain::run(&client, &plan, &inbox, &opening);
                drop(alive);
                over.finish(Ok(()));
            }
        });
        if let Err(error) = spawned {
            return Err(Fault::transient(DockerError::Thread(error.kind())));
        }
        let opened = opening.wait(settings.timeout.saturating_mul(REQUESTS));
        let reader = Reader::new(client, inbox, over, interrupt);
        match opened.unwrap_or(Err(DockerError::Timeout)) {
            Ok(opened) => {
                let position = self.position_at(position.take(), &opened);
                Ok(DockerStream::new(reader, position, self.position.clone(), settings, &opened, session))
            }
            Err(error) => {
                // A stop does not wait for a thread that the system may hold in a connect.
                let limit = if error == DockerError::Stopped { Duration::ZERO } else { LINGER };
                if !reader.end(limit) {
                    self.abandoned = abandoned;
                }
                Err(fault(error))
            }
        }
    }

    /// Returns the position of a connection that is open.
    fn position_at(&self, position: Option<Position>, opened: &Opened) -> Position {
        match position {
            Some(mut position) => {
                position.adopt(opened.engine.as_ref());
                position.reconnect();
                position
            }
            None => {
                let begin = self.settings.since.or(opened.now);
                Position::begin(opened.engine.clone(), begin, self.settings.margin)
            }
        }
    }
}

impl Source for DockerSource {
    type Event = DockerEvent;
    type Token = DockerToken;
    type Connection = DockerStream;

    fn connect(&mut self, from: Option<&DockerToken>, session: &Session) -> Result<DockerStream, Fault> {
        let kept = lock(&self.position).take();
        let mut position = from.map(|token| match kept {
            // It remembers more than the token.
            Some(position) if position.is_at(token) => position,
            _ => Position::resume(token, self.settings.margin),
        });
        let opened = self.open(&mut position, session);
        if opened.is_err() {
            *lock(&self.position) = position;
        }
        opened
    }
}

impl fmt::Debug for DockerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerSource")
            .field("address", &self.address.to_string())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
