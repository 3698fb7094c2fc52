//! The source of a stream's events.

use crate::config::NatsConfigError;
use crate::connect::{self, Watch};
use crate::consumer::{self, Attached, Wanted};
use crate::pending::{Acknowledger, Pending};
use crate::position::StreamPosition;
use crate::runtime::Runtime;
use crate::server::Server;
use crate::source_settings::{Decode, SourceSettings};
use crate::stream::{JetStreamConnection, Opened};
use crate::wait;
use async_nats::ServerAddr;
use buslane::BoxError;
use buslane::source::{Fault, Monitor, MonitorBuilder, Session, Source};
use buslane::time::{Deadline, Pause};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long one attempt to connect may take, with all requests to the server.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// A source of the events of a JetStream stream, for a [`Monitor`].
///
/// It reads through a durable pull consumer, which it creates if the stream has none of that name. The
/// server keeps the consumer's position, so a later process, on any machine, continues after the last
/// acknowledged event.
///
/// # Guarantees
/// - **Acknowledged after it was handled.** [`monitor`](Self::monitor) flushes the sink, which has then
///   handled every event before, and acknowledges these. A process that is killed before that gets them
///   again: at least once.
///   An event on which the handler fails or panics is handled, too, and so is one that a queue drops by
///   its overflow policy: each is counted in the ledger, and does not come again.
/// - **Once in a process.** What the server delivers again, after a break or because an acknowledgement
///   was lost, is recognized and counted as a
///   [duplicate](buslane::source::MonitorSnapshot::duplicates).
/// - **Gaps are told.** What the stream has discarded before it was read, by its limits or because it was
///   deleted and made again, is a [`Gap`](buslane::source::Gap) upstream of the next event.
/// - **Order of the stream.** When a connection begins and deliveries of an earlier one, or of an earlier
///   process, are not acknowledged, the source first waits for the server to deliver these again. That
///   takes up to [`ack_wait`](crate::JetStreamSourceBuilder::ack_wait).
/// - **The server is watched.** It sends a heartbeat every two seconds; without one for six, the monitor
///   connects again.
/// - **A slow sink** slows the reading down, and nothing else. While events wait, the server is told that
///   the work continues.
///
/// | the server | the source reports |
/// |---|---|
/// | is absent, refuses the credentials, or has no such stream | a transient fault: the monitor connects again |
/// | has a consumer of this name with other settings | a fatal fault: the monitor stops |
/// | has made the stream again, or has lost its end | that the token is stale: a gap, and a new connection |
/// | has discarded unread messages | a gap: the history is lost |
/// | delivers what the decoder refuses | an undecodable item: a gap of one event |
///
/// # Limits
/// One process at a time reads through a consumer. Two of them get a part of the events each.
///
/// An event that was discarded inside of the stream, by a deletion or by a limit for each subject, leaves
/// no trace. With a [filter](crate::JetStreamSourceBuilder::filter), a gap has no number, since the server does
/// not tell how many of the discarded messages the filter would have selected.
///
/// # Examples
/// ```no_run
/// use buslane::source::Update;
/// use buslane::Queue;
/// use buslane_nats::JetStreamSource;
///
/// #[derive(serde::Deserialize)]
/// struct Reading { host: String, celsius: f32 }
///
/// let source = JetStreamSource::builder("nats://localhost:4222", "TELEMETRY", "aggregator").json().build()?;
/// let queue = Queue::builder().spawn(|update: Update<Reading>| match update {
///     Update::Event(reading) => println!("{}: {} °C", reading.host, reading.celsius),
///     Update::Gap(gap) => println!("{gap}"),
///     _ => {}
/// })?;
/// let monitor = source.monitor().name("readings").spawn(queue)?;
/// # drop(monitor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a source does nothing until a monitor connects to it"]
pub struct JetStreamSource<E> {
    server: Server,
    addresses: Vec<ServerAddr>,
    settings: SourceSettings,
    decode: Decode<E>,
    pending: Arc<Pending>,
    runtime: Runtime,
}

impl<E: Send + 'static> JetStreamSource<E> {
    pub(crate) fn start(
        server: Server,
        settings: SourceSettings,
        decode: Decode<E>,
    ) -> Result<Self, NatsConfigError> {
        let addresses = server.addresses()?;
        let runtime = Runtime::start(&server)?;
        let pending = Arc::new(Pending::new(runtime.handle().clone()));
        Ok(Self { server, addresses, settings, decode, pending, runtime })
    }

    /// Returns a handle by which events are acknowledged.
    #[must_use]
    pub fn acknowledger(&self) -> Acknowledger {
        Acknowledger(self.pending.clone())
    }

    /// Returns the builder of a monitor that acknowledges events when its sink has handled them.
    ///
    /// It does so after every [`acknowledge_every`](crate::JetStreamSourceBuilder::acknowledge_every) events, at
    /// the end of each connection, and when it stops. A call of
    /// [`store_token`](MonitorBuilder::store_token) replaces that: then call
    /// [`Acknowledger::acknowledge`] in it.
    ///
    /// # Examples
    /// ```no_run
    /// use buslane_nats::JetStreamSource;
    /// let source = JetStreamSource::<String>::builder("nats://localhost", "WORDS", "reader").json().build()?;
    /// let (channel, receiver) = buslane::Channel::lossless(1024)?;
    /// let monitor = source.monitor().spawn_events(channel)?;
    /// # drop((monitor, receiver));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn monitor(self) -> MonitorBuilder<Self> {
        let (every, acknowledger) = (self.settings.acknowledge_every, self.acknowledger());
        Monitor::builder(self).store_token(every, move |position| {
            acknowledger.acknowledge(position);
            Ok::<(), BoxError>(())
        })
    }
}

/// The error of a connect that ended before the server had answered.
#[derive(Debug)]
struct NotConnected {
    is_stopped: bool,
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_stopped {
            "the monitor was stopped"
        } else {
            "the server did not answer in time"
        })
    }
}

impl std::error::Error for NotConnected {}

impl<E: Send + 'static> Source for JetStreamSource<E> {
    type Event = E;
    type Token = StreamPosition;
    type Connection = JetStreamConnection<E>;

    fn connect(
        &mut self,
        from: Option<&StreamPosition>,
        session: &Session,
    ) -> Result<JetStreamConnection<E>, Fault> {
        let pause = Arc::new(Pause::new());
        let interrupt = session.on_stop({
            let pause = pause.clone();
            move || pause.interrupt()
        });
        let watch = Arc::new(Watch::new(pause.clone(), Arc::new(Notify::new())));
        let wanted = Wanted { from: from.copied(), pending: &self.pending, settings: &self.settings };
        let open = async {
            let client =
                connect::open(&self.server, &self.addresses, &watch).await.map_err(Fault::transient)?;
            consumer::attach(client, &wanted).await
        };
        let attached = {
            let _context = self.runtime.handle().enter();
            wait::until(open, &pause, Deadline::after(CONNECT_LIMIT))
        };
        let Some(attached) = attached else {
            return Err(Fault::transient(NotConnected { is_stopped: session.is_stopped() }));
        };
        let attached: Attached = attached?;
        let line = attached.client.clone();
        self.pending.attach((attached.created, attached.last), line, watch.clone(), attached.ack_wait);
        Ok(JetStreamConnection::new(Opened {
            attached,
            settings: self.settings.clone(),
            decode: self.decode.clone(),
            pending: self.pending.clone(),
            handle: self.runtime.handle().clone(),
            watch,
            pause,
            _interrupt: interrupt,
            session: session.clone(),
        }))
    }
}

impl<E> Drop for JetStreamSource<E> {
    fn drop(&mut self) {
        // What was handled last has been acknowledged by the monitor before it drops the source.
        self.pending.detach();
    }
}

impl<E> fmt::Debug for JetStreamSource<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSource")
            .field("server", &self.server)
            .field("stream", &self.settings.stream)
            .field("consumer", &self.settings.consumer)
            .finish_non_exhaustive()
    }
}
