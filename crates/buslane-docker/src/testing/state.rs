//! What an engine knows: its history, its clock, its clients, and what a test told it to do.
//!
//! One lock is around all of it, and no thread reads, writes or connects while it holds the lock.
//! A client is subscribed, and gets the history, in one step: it misses nothing and gets nothing
//! twice, unless the test wants it to.

use super::chunks::{Cut, Framing};
use super::event::ScriptedEvent;
use super::query::EventQuery;
use super::request::{Answer, Endpoint, ScriptedRequest};
use super::time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest real time for which a call waits for another thread. After that, the call panics
/// instead of hanging.
const GUARD: Duration = Duration::from_secs(30);
/// What the clock shows at the start.
const START: u64 = 1_700_000_000_000_000_000;
/// How far the clock moves with each event.
const STEP: Duration = Duration::from_millis(1);

/// What does not change while an engine is there.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) history: usize,
    pub(super) lowest: (u16, u16),
    pub(super) highest: (u16, u16),
    pub(super) has_version: bool,
    pub(super) is_podman: bool,
    pub(super) ends_properly: bool,
    pub(super) client_buffer: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) settings: Settings,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) is_listening: bool,
    pub(super) clock: u64,
    pub(super) id: String,
    pub(super) framing: Framing,
    /// How many events of its history the next client gets twice.
    pub(super) repeats: usize,
    pub(super) history: VecDeque<Arc<ScriptedEvent>>,
    /// Everything that ever happened.
    pub(super) events: Vec<Arc<ScriptedEvent>>,
    pub(super) requests: Vec<ScriptedRequest>,
    /// Answers for one request each, which come before those for all requests.
    pub(super) next_answers: BTreeMap<Endpoint, VecDeque<Answer>>,
    pub(super) answers: BTreeMap<Endpoint, Answer>,
    /// The requests that get no answer for now.
    pub(super) held: BTreeSet<Endpoint>,
    /// The events that clients did not get because they were too slow.
    pub(super) lost: u64,
    /// The connections until now.
    pub(super) accepted: u64,
    connections: BTreeMap<u64, UnixStream>,
    streams: BTreeMap<u64, Outgoing>,
}

/// The body of one client that follows the events.
#[derive(Debug)]
struct Outgoing {
    query: EventQuery,
    pieces: VecDeque<Vec<u8>>,
    is_writing: bool,
    end: Option<End>,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its last chunk.
    Proper,
    /// Without it.
    Cut,
}

/// What is to be written next.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) end: Option<End>,
}

/// What becomes of a request.
pub(super) enum Route {
    /// The engine has been stopped.
    Stopped,
    /// The test has an answer.
    Scripted(Answer),
    /// The engine answers.
    Normal,
}

impl Core {
    pub(super) fn new(settings: Settings) -> Self {
        let state = State {
            is_listening: false,
            clock: START,
            id: "scripted-engine".to_owned(),
            framing: Framing::default(),
            repeats: 0,
            history: VecDeque::new(),
            events: Vec::new(),
            requests: Vec::new(),
            next_answers: BTreeMap::new(),
            answers: BTreeMap::new(),
            held: BTreeSet::new(),
            lost: 0,
            accepted: 0,
            connections: BTreeMap::new(),
            streams: BTreeMap::new(),
        };
        Self { settings, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes all threads that wait for a change.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until the state satisfies a condition.
    #[track_caller]
    pub(super) fn wait_until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let waited = self.changed.wait_timeout_while(self.lock(), GUARD, |state| !holds(state));
        let timed_out = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
        assert!(!timed_out, "the engine waited too long for {what}");
    }

    /// Lets events happen. Returns the time of the last one.
    pub(super) fn emit(&self, events: impl IntoIterator<Item = ScriptedEvent>, cut: Option<Cut>) -> u64 {
        self.change(|state| {
            let events: Vec<_> =
                events.into_iter().map(|event| state.happen(event, self.settings.history)).collect();
            for stream in state.streams.values_mut().filter(|stream| stream.end.is_none()) {
                let wanted: Vec<_> =
                    events.iter().filter(|event| stream.query.is_live(event)).cloned().collect();
                match cut {
                    None => state.lost += stream.push(&wanted, state.framing, &self.settings),
                    Some(cut) => {
                        for event in &wanted {
                            stream.pieces.push_back(cut.piece(&event.json(self.settings.has_old_names())));
                        }
                        stream.end = Some(End::Cut);
                    }
                }
            }
            state.end_what_is_over();
            events.last().and_then(|event| event.time()).unwrap_or(state.clock)
        })
    }

    /// Waits while requests for an endpoint are held, and the connection is there.
    pub(super) fn wait_released(&self, number: u64, endpoint: Endpoint) {
        let mut state = self.lock();
        while state.held.contains(&endpoint) && state.is_listening && state.connections.contains_key(&number)
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Begins to send events to a client. Returns `false` when the engine has been stopped.
    pub(super) fn subscribe(&self, number: u64, query: EventQuery) -> bool {
        self.change(|state| {
            if !state.is_listening || !state.connections.contains_key(&number) {
                return false;
            }
            let mut events: Vec<_> = query.replay(state.history.iter()).into_iter().cloned().collect();
            if query.since.is_some() {
                let repeats = std::mem::take(&mut state.repeats).min(events.len());
                events.extend_from_within(events.len() - repeats..);
            }
            let mut stream = Outgoing { query, pieces: VecDeque::new(), is_writing: false, end: None };
            // What a client asks for is never lost, however small its buffer is.
            let unlimited = Settings { client_buffer: None, ..self.settings.clone() };
            stream.push(&events, state.framing, &unlimited);
            state.streams.insert(number, stream);
            state.end_what_is_over();
            true
        })
    }

    /// Waits for what is to be written to a client. `None` when the client has gone.
    pub(super) fn next_batch(&self, number: u64) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            let stream = state.streams.get_mut(&number)?;
            if !stream.pieces.is_empty() || stream.end.is_some() {
                // A buffer with a limit is emptied one by one, as that of an engine is.
                let count =
                    self.settings.client_buffer.map_or(stream.pieces.len(), |_| stream.pieces.len().min(1));
                let bytes = stream.pieces.drain(..count).flatten().collect();
                stream.is_writing = true;
                let end = stream.end.filter(|_| stream.pieces.is_empty());
                return Some(Batch { bytes, end });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn written(&self, number: u64) {
        self.change(|state| {
            if let Some(stream) = state.streams.get_mut(&number) {
                stream.is_writing = false;
            }
        });
    }

    /// Forgets the body of a client that has gone.
    pub(super) fn gone(&self, number: u64) {
        self.change(|state| state.streams.remove(&number));
    }
}

impl Settings {
    /// Returns whether events have the fields that API 1.52 removed.
    pub(super) fn has_old_names(&self) -> bool {
        self.highest < (1, 52)
    }
}

impl State {
    fn happen(&mut self, event: ScriptedEvent, limit: usize) -> Arc<ScriptedEvent> {
        let event = match event.time() {
            Some(_) => event,
            None => {
                // The clock is later than each of its events, so one that asks for what happens from
                // now on does not get the last event as well.
                let now = self.clock;
                self.clock = time::after(now, STEP);
                event.at(now)
            }
        };
        let event = Arc::new(event);
        self.events.push(event.clone());
        self.history.push_back(event.clone());
        while self.history.len() > limit {
            self.history.pop_front();
        }
        event
    }

    /// Sends bytes to every client, which are no event of the history.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        for stream in self.streams.values_mut().filter(|stream| stream.end.is_none()) {
            stream.pieces.push_back(bytes.to_vec());
        }
    }

    /// Ends every body, after what was sent until now.
    pub(super) fn end(&mut self, end: End) {
        for stream in self.streams.values_mut() {
            stream.end.get_or_insert(end);
        }
    }

    /// Ends the bodies whose last time has passed.
    pub(super) fn end_what_is_over(&mut self) {
        for stream in self.streams.values_mut().filter(|stream| stream.query.is_over(self.clock)) {
            stream.end.get_or_insert(End::Proper);
        }
    }

    /// Accepts no further request, and ends every connection. Bodies are completed as far as their
    /// clients read them.
    pub(super) fn stop(&mut self, end: End) {
        self.is_listening = false;
        self.end(end);
        let streams = &self.streams;
        // A connection that is forgotten asks for nothing, even if the engine soon listens again.
        self.connections.retain(|number, connection| {
            let is_stream = streams.contains_key(number);
            if !is_stream {
                let _ = connection.shutdown(Shutdown::Both);
            }
            is_stream
        });
    }

    /// Ends every connection at once.
    pub(super) fn end_all(&mut self) {
        self.streams.clear();
        for connection in self.connections.values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Registers a connection, and returns its number.
    pub(super) fn accept(&mut self, connection: UnixStream) -> u64 {
        self.accepted += 1;
        self.connections.insert(self.accepted, connection);
        self.accepted
    }

    pub(super) fn close(&mut self, number: u64) {
        self.connections.remove(&number);
        self.streams.remove(&number);
    }

    /// Notes a request, and decides what becomes of it.
    pub(super) fn route(&mut self, number: u64, request: &ScriptedRequest) -> Route {
        if !self.is_listening || !self.connections.contains_key(&number) {
            return Route::Stopped;
        }
        self.requests.push(request.clone());
        let endpoint = request.endpoint();
        let next = self.next_answers.get_mut(&endpoint).and_then(VecDeque::pop_front);
        next.or_else(|| self.answers.get(&endpoint).cloned()).map_or(Route::Normal, Route::Scripted)
    }

    /// Returns the number of clients that follow the events.
    pub(super) fn streams(&self) -> usize {
        self.streams.values().filter(|stream| stream.end.is_none()).count()
    }

    /// Returns whether everything was written that was sent.
    pub(super) fn is_written(&self) -> bool {
        self.streams.values().all(|stream| stream.pieces.is_empty() && !stream.is_writing)
    }
}

impl Outgoing {
    /// Appends events. Returns how many were lost because the client is too slow.
    fn push(&mut self, events: &[Arc<ScriptedEvent>], framing: Framing, settings: &Settings) -> u64 {
        let texts: Vec<_> = events.iter().map(|event| event.json(settings.has_old_names())).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let pieces = framing.pieces(&texts);
        let each = if pieces.len() == events.len() { 1 } else { events.len() as u64 };
        let mut lost = 0;
        for bytes in pieces {
            if settings.client_buffer.is_some_and(|limit| self.pieces.len() >= limit) {
                lost += each;
            } else {
                self.pieces.push_back(bytes);
            }
        }
        lost
    }
}
