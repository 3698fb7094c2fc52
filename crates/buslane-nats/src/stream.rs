//! An open connection of a source: it asks for messages, and reads them.

use crate::connect::{Watch, changed};
use crate::consumer::{Attached, identity};
use crate::pending::{Delivered, Pending};
use crate::position::StreamPosition;
use crate::received::{Delivery, Received};
use crate::source_settings::{Decode, SourceSettings};
use crate::wait;
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::{Message, StatusCode};
use buslane::source::{Connection, Fault, Gap, GapReason, Item, Session, StopHook};
use buslane::time::{Deadline, Pause};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long the server keeps a request for messages.
const EXPIRES: Duration = Duration::from_secs(10);
/// How often the server tells that it keeps the request.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long no message and no heartbeat may come.
const DEAD: Duration = Duration::from_secs(6);
/// The least time between two questions for the start of the stream.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The limit of a question.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// What a connection is made of.
pub(crate) struct Opened<E> {
    pub(crate) attached: Attached,
    pub(crate) settings: SourceSettings,
    pub(crate) decode: Decode<E>,
    pub(crate) pending: Arc<Pending>,
    pub(crate) handle: Handle,
    pub(crate) watch: Arc<Watch>,
    pub(crate) pause: Arc<Pause>,
    /// Interrupts every wait when the monitor is stopped, until this is dropped.
    pub(crate) _interrupt: StopHook,
    pub(crate) session: Session,
}

/// An open connection of a [`JetStreamSource`](crate::JetStreamSource).
pub struct JetStreamConnection<E> {
    opened: Opened<E>,
    /// What is to be returned before the next message.
    items: VecDeque<Item<E, StreamPosition>>,
    /// The position after the last event.
    position: StreamPosition,
    /// The number of messages that the server still owes for the last request.
    owed: usize,
    news: Instant,
    /// The lowest sequence that was skipped and may have been discarded.
    skipped: Option<(u64, u64)>,
    asked: Option<Instant>,
    /// Whether an acknowledgement has to be sent again.
    owes_acks: bool,
    /// Why the connection ends after the items.
    fault: Option<Fault>,
}

/// How a connection ended.
#[derive(Debug)]
enum Broken {
    Stopped,
    Lost(Option<String>),
    Silent,
    Gone,
    NoAnswer,
    Ended(String),
    NotJetStream,
    Decoder,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the monitor was stopped"),
            Self::Lost(None) => f.write_str("the connection broke"),
            Self::Lost(Some(error)) => write!(f, "the connection broke: {error}"),
            Self::Silent => f.write_str("the server sent neither messages nor heartbeats"),
            Self::Gone => f.write_str("the stream or the consumer was deleted"),
            Self::NoAnswer => f.write_str("the server did not answer in time"),
            Self::Ended(text) => write!(f, "the server ended the request: {text}"),
            Self::NotJetStream => f.write_str("the message is none of JetStream's"),
            Self::Decoder => f.write_str("the decoder panicked"),
        }
    }
}

impl std::error::Error for Broken {}

impl<E> JetStreamConnection<E> {
    pub(crate) fn new(mut opened: Opened<E>) -> Self {
        let Attached { created, sequence, resumed, gap, .. } = &mut opened.attached;
        let position = StreamPosition {
            created: *created,
            sequence: *sequence,
            deliveries: opened.pending.deliveries(),
        };
        // The monitor stores a position that comes first. A gap comes before the answer to whether the
        // connection continues.
        let mut items = VecDeque::from([Item::Alive(position)]);
        items.extend(gap.take().map(Item::Gap));
        items.push_back(Item::Resumed(*resumed));
        let news = opened.session.now();
        let (skipped, asked, fault) = (None, None, None);
        Self { opened, items, position, owed: 0, news, skipped, asked, owes_acks: false, fault }
    }

    fn lost(&self) -> Fault {
        if self.opened.session.is_stopped() {
            return Fault::transient(Broken::Stopped);
        }
        Fault::transient(Broken::Lost(self.opened.watch.take_error()))
    }

    /// Waits for the server to deliver again what an earlier connection did not get.
    fn hold(&mut self) -> Result<(), Fault> {
        let Some(until) = self.opened.attached.hold else { return Ok(()) };
        let Opened { pause, watch, .. } = &self.opened;
        pause.wait(Deadline::at(until), || watch.is_lost());
        if watch.is_lost() || pause.is_interrupted() {
            return Err(self.lost());
        }
        self.opened.attached.hold = None;
        Ok(())
    }

    /// Asks for messages.
    fn request(&mut self) -> Result<(), Fault> {
        let Opened { attached, settings, handle, pause, .. } = &self.opened;
        let config = BatchConfig {
            batch: settings.fetch,
            expires: Some(EXPIRES),
            idle_heartbeat: HEARTBEAT,
            ..BatchConfig::default()
        };
        let sent = {
            let _context = handle.enter();
            let request = attached.consumer.request_batch(config, attached.inbox.clone());
            wait::until(request, pause, Deadline::after(ASK_LIMIT))
        };
        match sent {
            Some(Ok(())) => {
                self.owed = settings.fetch;
                Ok(())
            }
            Some(Err(error)) => Err(Fault::transient(error)),
            None => Err(self.lost()),
        }
    }

    /// Waits for the next message or status.
    fn read(&mut self) -> Result<Message, Fault> {
        let Opened { attached, watch, handle, pause, session, .. } = &mut self.opened;
        let read = {
            let _context = handle.enter();
            let read = async {
                let bell = pin!(changed(watch));
                match select(attached.replies.next(), bell).await {
                    Either::Left((message, _)) => message,
                    Either::Right(_) => None,
                }
            };
            wait::until(read, pause, Deadline::after(DEAD))
        };
        match read {
            Some(Some(message)) => Ok(message),
            Some(None) => Err(self.lost()),
            None if session.is_stopped() || pause.is_interrupted() => Err(Fault::transient(Broken::Stopped)),
            None => Err(Fault::transient(Broken::Silent)),
        }
    }

    /// Handles a message without content: the end of a request, or a heartbeat.
    fn status(&mut self, status: StatusCode, message: &Message) -> Result<(), Fault> {
        let text = message.description.clone().unwrap_or_default();
        match status {
            // Nothing waits, so that the monitor may acknowledge what its sink has handled.
            StatusCode::IDLE_HEARTBEAT if self.opened.pending.lowest().is_some() => {
                self.items.push_back(Item::Alive(self.position));
            }
            StatusCode::IDLE_HEARTBEAT => {}
            StatusCode::TIMEOUT | StatusCode::NOT_FOUND => self.owed = 0,
            StatusCode::NO_RESPONDERS => return Err(Fault::transient(Broken::Gone)),
            StatusCode::REQUEST_TERMINATED if text.contains("Deleted") => {
                return Err(Fault::transient(Broken::Gone));
            }
            // The request is over, and the consumer is not.
            StatusCode::REQUEST_TERMINATED
                if text.contains("MaxAckPending") || text.contains("Completed") =>
            {
                self.owed = 0;
            }
            _ => return Err(Fault::transient(Broken::Ended(text))),
        }
        if self.owes_acks {
            self.owes_acks = false;
            self.opened.pending.send_handled();
        }
        let now = self.opened.session.now();
        if now.saturating_duration_since(self.news) >= self.opened.session.silence() {
            self.news = now;
            self.items.push_back(Item::Silent);
        }
        Ok(())
    }

    /// Handles a message of the stream.
    fn message(&mut self, message: &Message) {
        self.owed = self.owed.saturating_sub(1);
        self.news = self.opened.session.now();
        let Some((delivery, reply)) =
            message.reply.as_ref().and_then(|reply| Some((Delivery::parse(reply.as_str())?, reply.clone())))
        else {
            self.items.push_back(Item::Undecodable(Broken::NotJetStream.into(), None));
            return;
        };
        let sequence = delivery.sequence;
        let is_handled = sequence <= self.opened.attached.handled;
        let Delivered::New(number) = self.opened.pending.deliver(sequence, reply, is_handled) else {
            self.owes_acks = true;
            self.items.push_back(Item::Duplicate(self.position));
            return;
        };
        // The event is delivered, so it is forwarded whatever the question ends with.
        self.fault = self.look_for_gap(sequence).err();
        self.position.sequence = self.position.sequence.max(sequence);
        self.position.deliveries = number;
        let received = Received::new(message, delivery);
        // The decoder only reads, and what it has begun is discarded.
        let decoded = catch_unwind(AssertUnwindSafe(|| (self.opened.decode)(&received)));
        self.items.push_back(match decoded.unwrap_or_else(|_| Err(Broken::Decoder.into())) {
            Ok(event) => Item::Event(event, self.position),
            Err(error) => Item::Undecodable(error, Some(self.position)),
        });
    }

    /// Asks whether the stream has discarded what comes between the last event and this one.
    fn look_for_gap(&mut self, sequence: u64) -> Result<(), Fault> {
        let expected = self.position.sequence + 1;
        if sequence > expected {
            let (lowest, count) = self.skipped.unwrap_or((expected, 0));
            self.skipped = Some((lowest, count + sequence - expected));
        }
        let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if self.skipped.is_some() && is_due { self.ask() } else { Ok(()) }
    }

    /// Asks for the start and the identity of the stream, and reports what it has discarded.
    fn ask(&mut self) -> Result<(), Fault> {
        self.asked = Some(Instant::now());
        let Opened { attached, handle, pause, settings, .. } = &self.opened;
        let info = {
            let _context = handle.enter();
            wait::until(attached.stream.get_info(), pause, Deadline::after(ASK_LIMIT))
        };
        let info = match info {
            Some(Ok(info)) => info,
            Some(Err(error)) => return Err(Fault::transient(error)),
            None if pause.is_interrupted() => return Err(self.lost()),
            None => return Err(Fault::transient(Broken::NoAnswer)),
        };
        if identity(&info) != attached.created {
            return Err(Fault::transient(Broken::Gone));
        }
        if let Some((lowest, count)) = self.skipped.take() {
            let first = info.state.first_sequence;
            if first > lowest {
                let gap = Gap::new(GapReason::HistoryLost);
                let is_exact = settings.filter.is_none();
                let missed = count.min(first - lowest);
                self.items.push_back(Item::Gap(if is_exact { gap.missed(missed) } else { gap }));
            }
        }
        Ok(())
    }
}

impl<E: Send + 'static> Connection for JetStreamConnection<E> {
    type Event = E;
    type Token = StreamPosition;

    fn resumed(&mut self) -> Option<bool> {
        // It comes as an item, after a gap.
        None
    }

    fn next(&mut self) -> Result<Option<Item<E, StreamPosition>>, Fault> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Ok(Some(item));
            }
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            self.hold()?;
            if self.opened.watch.is_lost() || self.opened.pause.is_interrupted() {
                return Err(self.lost());
            }
            if self.owed == 0 {
                self.request()?;
            }
            let message = self.read()?;
            match message.status {
                Some(status) if status != StatusCode::OK => self.status(status, &message)?,
                _ => self.message(&message),
            }
        }
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.ask()
    }
}

impl<E> fmt::Debug for JetStreamConnection<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamConnection").field("position", &self.position).finish_non_exhaustive()
    }
}
