//! An open stream of events, and the proof that it continues the last one.
//!
//! # Proof
//! The bound of `since` is inclusive, the margin reaches back before the last event, and a replay is
//! a contiguous end of the engine's history. So if any event comes back that was received before,
//! nothing after it is missing. Until one comes, events are held; then they follow in the order of
//! the engine. If none comes in time, or too many others do, a gap comes first. More than 256 events
//! meanwhile, a restart of the engine and a clock that was set back look alike, and the gap covers
//! all of them. A later replay may contain events that a gap has covered; they are left out, since
//! events after them were forwarded.

use crate::attempt::{Attempt, LONGEST, lock};
use crate::client::Client;
use crate::drain::Opened;
use crate::error::DockerError;
use crate::event::DockerEvent;
use crate::identity::Identity;
use crate::inbox::{Batch, Entry, Inbox, Lost, MOST_BYTES, Nothing};
use crate::position::Position;
use crate::settings::Settings;
use crate::token::DockerToken;
use crate::until::Until;
use buslane::source::{Connection, Fault, Gap, GapReason, Item, Session, StopHook};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long the end of a thread is waited for. It ends at once, unless the system holds it.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// The most events that are held. Docker's history is 256; Podman's is longer.
const MOST_HELD: usize = 4096;
/// The most memory of the events that are held, in bytes.
const MOST_BYTES_HELD: usize = MOST_BYTES / 2;

/// An open stream of events; the connection of a [`DockerSource`](crate::DockerSource).
pub struct DockerStream {
    reader: Reader,
    session: Session,
    position: Option<Position>,
    /// Where the position is left for the next connection.
    left: Arc<Mutex<Option<Position>>>,
    until: Option<Until>,
    /// The engine's time when the stream was opened.
    opened: Option<i64>,
    proof: Proof,
    /// What comes upstream of the next event.
    announced: VecDeque<Item<DockerEvent, DockerToken>>,
    /// What was read last.
    batch: Batch,
}

/// The thread that reads, and what ends it.
pub(crate) struct Reader {
    client: Client,
    inbox: Arc<Inbox>,
    /// Set when the thread has ended.
    over: Attempt<()>,
    /// Whether the thread was told to end.
    is_told: bool,
    _interrupt: StopHook,
}

enum Proof {
    /// It is known whether the stream continues.
    Settled,
    /// Events are held until one comes that was received before.
    Awaited { until: Instant, held: Batch, bytes: usize },
}

/// Makes a fault of an error.
pub(crate) fn fault(error: DockerError) -> Fault {
    match error {
        DockerError::OtherEngine => Fault::stale_token(error),
        DockerError::UntilReached => Fault::fatal(error),
        error => Fault::transient(error),
    }
}

impl Reader {
    pub(crate) fn new(client: Client, inbox: Arc<Inbox>, over: Attempt<()>, interrupt: StopHook) -> Self {
        Self { client, inbox, over, is_told: false, _interrupt: interrupt }
    }

    /// Ends the thread. Returns whether it has ended within the limit.
    pub(crate) fn end(mut self, limit: Duration) -> bool {
        self.ended_within(limit)
    }

    fn ended_within(&mut self, limit: Duration) -> bool {
        if std::mem::replace(&mut self.is_told, true) {
            return true;
        }
        self.inbox.close();
        self.client.shut_down();
        self.over.wait(limit).is_some()
    }
}

impl Drop for Reader {
    /// Ends the thread, so that the next connection does not meet this one.
    fn drop(&mut self) {
        self.ended_within(LINGER);
    }
}

impl DockerStream {
    pub(crate) fn new(
        reader: Reader,
        position: Position,
        left: Arc<Mutex<Option<Position>>>,
        settings: &Settings,
        opened: &Opened,
        session: &Session,
    ) -> Self {
        let (proof, mut announced) = (Proof::begin(&position, settings.proof_wait), VecDeque::new());
        if matches!(proof, Proof::Settled) {
            // So that a process that ends before the first event resumes here.
            announced.push_back(Item::Alive(position.token()));
        }
        Self {
            reader,
            session: session.clone(),
            position: Some(position),
            left,
            until: settings.until.map(|until| Until::new(until, opened)),
            opened: opened.now,
            proof,
            announced,
            batch: Batch::new(),
        }
    }

    /// Returns what was read next. An error is what to return in place of it.
    #[inline]
    fn entry(&mut self) -> Result<Entry, Result<Option<Item<DockerEvent, DockerToken>>, Fault>> {
        match self.batch.pop_front() {
            Some(entry) => Ok(entry),
            None => self.refill(),
        }
    }

    fn refill(&mut self) -> Result<Entry, Result<Option<Item<DockerEvent, DockerToken>>, Fault>> {
        let silence = self.session.silence();
        let limit = match &self.proof {
            Proof::Settled => silence,
            Proof::Awaited { until, .. } => until.saturating_duration_since(Instant::now()).min(silence),
        };
        let limit = self.until.as_ref().map_or(limit, |until| until.left().min(limit));
        match self.reader.inbox.take(&mut self.batch, limit) {
            Ok(()) => self.entry(),
            Err(Nothing::Closed) => Err(Err(Fault::transient(DockerError::Stopped))),
            Err(Nothing::Ended(Err(error))) => Err(Err(fault(error))),
            Err(nothing) => {
                let is_ended = matches!(nothing, Nothing::Ended(_));
                let is_over = self
                    .until
                    .as_ref()
                    .is_some_and(|until| if is_ended { until.is_reached() } else { until.left().is_zero() });
                if self.settle_late(is_ended, is_over) {
                    return Err(self.next());
                }
                Err(match nothing {
                    _ if is_over => Err(fault(DockerError::UntilReached)),
                    Nothing::TimedOut => Ok(Some(Item::Silent)),
                    _ => Ok(None),
                })
            }
        }
    }

    /// Gives up the proof if its time is over, or the stream is. Returns whether it did. A stream that
    /// ended before its first event denies nothing: the next one may continue.
    fn settle_late(&mut self, is_ended: bool, is_over: bool) -> bool {
        let is_late = match &self.proof {
            Proof::Settled => false,
            Proof::Awaited { until, held, .. } => {
                is_over || is_ended && !held.is_empty() || Instant::now() >= *until
            }
        };
        if is_late {
            self.settle(false, None);
        }
        is_late
    }

    /// Ends the wait for a proof, and releases what was held.
    fn settle(&mut self, is_proved: bool, last: Option<Entry>) {
        let Proof::Awaited { mut held, .. } = std::mem::replace(&mut self.proof, Proof::Settled) else {
            return;
        };
        if !is_proved {
            self.announced.push_back(Item::Gap(Gap::new(GapReason::HistoryLost)));
            if let Some(position) = &mut self.position {
                position.break_off(self.opened);
            }
        }
        self.announced.push_back(Item::Resumed(is_proved));
        held.extend(last);
        // They were read before the rest of the batch.
        held.append(&mut self.batch);
        self.batch = held;
    }

    /// Holds an entry, unless it settles the proof.
    #[cold]
    fn hold(&mut self, entry: Entry) {
        let (Proof::Awaited { until, held, bytes }, Some(position)) = (&mut self.proof, &self.position)
        else {
            return;
        };
        let is_proof = |identity: &Identity| position.proves(*identity);
        let proof = match &entry {
            Entry::Event(_, identity) | Entry::Unwanted(identity, _) => identity.filter(is_proof),
            Entry::Lost(lost) => lost.identities().find(is_proof),
            Entry::Undecodable(..) => None,
        };
        if let Some(proof) = proof {
            let is_ours = |entry: &Entry| match entry {
                Entry::Event(_, Some(identity)) | Entry::Unwanted(Some(identity), _) => {
                    !position.precedes(*identity, proof)
                }
                _ => true,
            };
            held.retain(is_ours);
            return self.settle(true, Some(entry));
        }
        *bytes += entry.size();
        held.push_back(entry);
        if held.len() > MOST_HELD || *bytes > MOST_BYTES_HELD || Instant::now() >= *until {
            self.settle(false, None);
        }
    }

    /// Makes an item of an entry, and takes note of it.
    #[inline]
    fn item(&mut self, entry: Entry) -> Item<DockerEvent, DockerToken> {
        let Some(position) = &mut self.position else { return Item::Silent };
        let (event, identity, time) = match entry {
            Entry::Event(event, identity) => {
                let time = event.time_nano();
                (Some(event), identity, time)
            }
            Entry::Unwanted(identity, time) => (None, identity, time),
            // A message is in no history, so it is a new one.
            Entry::Undecodable(error, hash)
                if !matches!(error, DockerError::NotAnEvent { message: Some(_) })
                    && position.skips_again(hash) =>
            {
                return Item::Duplicate(position.token());
            }
            Entry::Undecodable(error, _) => return Item::Undecodable(error.into(), Some(position.token())),
            Entry::Lost(lost) => return lost_item(position, &lost),
        };
        match identity {
            Some(identity) if position.has_received(identity) => return Item::Duplicate(position.token()),
            Some(identity) => position.receive(identity),
            None => {
                if let Some(time) = time {
                    position.pass(time);
                }
            }
        }
        match event {
            Some(event) => Item::Event(event, position.token()),
            None => Item::Alive(position.token()),
        }
    }
}

/// Makes a gap of evicted events. They are not forwarded when a replay repeats them: that would be
/// out of order. Those that were received before are not missing.
#[cold]
fn lost_item(position: &mut Position, lost: &Lost) -> Item<DockerEvent, DockerToken> {
    let mut missing = lost.events;
    for identity in lost.identities() {
        if position.has_received(identity) {
            missing = missing.saturating_sub(1);
        } else {
            position.receive(identity);
        }
    }
    match missing {
        0 => Item::Alive(position.token()),
        _ => Item::Gap(Gap::new(GapReason::SinkRefused).missed(missing)),
    }
}

impl Proof {
    fn begin(position: &Position, wait: Duration) -> Self {
        if !position.can_prove() {
            return Self::Settled;
        }
        Self::Awaited { until: Instant::now() + wait.min(LONGEST), held: Batch::new(), bytes: 0 }
    }
}

impl Connection for DockerStream {
    type Event = DockerEvent;
    type Token = DockerToken;

    fn resumed(&mut self) -> Option<bool> {
        matches!(self.proof, Proof::Settled).then_some(false)
    }

    #[inline]
    fn next(&mut self) -> Result<Option<Item<DockerEvent, DockerToken>>, Fault> {
        loop {
            if let Some(item) = self.announced.pop_front() {
                return Ok(Some(item));
            }
            let entry = match self.entry() {
                Ok(entry) => entry,
                Err(result) => return result,
            };
            match self.proof {
                Proof::Settled => return Ok(Some(self.item(entry))),
                Proof::Awaited { .. } => self.hold(entry),
            }
        }
    }

    /// Pings the engine on another connection.
    fn check(&mut self) -> Result<(), Fault> {
        let client = self.reader.client.another();
        let ping = Attempt::new();
        let _interrupt = self.session.on_stop({
            let (client, ping) = (client.clone(), ping.clone());
            move || {
                ping.finish(Err(DockerError::Stopped));
                client.shut_down();
            }
        });
        let spawned = thread::Builder::new().name(String::from("buslane-docker-ping")).spawn({
            let (client, ping) = (client.clone(), ping.clone());
            move || ping.finish(client.ping().map(drop))
        });
        let checked = match spawned {
            Ok(_) => ping.wait(client.timeout().saturating_mul(2)).unwrap_or(Err(DockerError::Timeout)),
            Err(error) => Err(DockerError::Thread(error.kind())),
        };
        client.shut_down();
        checked.map_err(fault)
    }
}

impl Drop for DockerStream {
    fn drop(&mut self) {
        *lock(&self.left) = self.position.take();
    }
}

impl fmt::Debug for DockerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerStream")
            .field("engine", &self.position.as_ref().and_then(Position::engine))
            .finish_non_exhaustive()
    }
}
