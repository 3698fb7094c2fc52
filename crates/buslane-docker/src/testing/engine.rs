//! The handle of a scripted engine, and its settings.

use super::chunks::{Cut, Framing};
use super::event::ScriptedEvent;
use super::request::{Answer, Endpoint, ScriptedRequest};
use super::server::accept;
use super::state::{Core, End, Settings};
use super::time;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A Docker Engine that follows a script, on a socket in a folder that it makes.
///
/// It answers `/_ping`, `/info` and `/events`, with or without a version of the API in the path. Its
/// events are those that a test [emits](Self::emit). As in an engine,
///
/// - the newest 256 events are its history, and a restart loses them;
/// - `since` and `until` are inclusive, have up to nanoseconds, and choose from the history;
/// - filters are those of Docker, and unknown ones are ignored;
/// - a version that it does not have, a time or a filter that is invalid is refused with status 400.
///
/// Its clock begins at the same time in every run, and moves by a millisecond with each event.
/// Clones are the same engine. It ends, and removes its folder, when the last one is dropped.
///
/// # Examples
/// ```
/// use buslane_docker::testing::{ScriptedEngine, ScriptedEvent};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// let engine = ScriptedEngine::start()?;
/// engine.emit(ScriptedEvent::new("volume", "create", "data"));
///
/// let mut client = UnixStream::connect(engine.socket())?;
/// client.write_all(b"GET /events?since=0 HTTP/1.1\r\nHost: engine\r\n\r\n")?;
/// engine.wait_streams(1);
/// engine.emit(ScriptedEvent::new("volume", "destroy", "data"));
/// engine.stop();
/// let mut text = String::new();
/// client.read_to_string(&mut text)?;
/// assert!(text.contains(r#""Action":"create""#) && text.contains(r#""Action":"destroy""#));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// A `wait_` method panics when it has waited for half a minute of real time.
#[derive(Clone, Debug)]
pub struct ScriptedEngine(Arc<Running>);

#[derive(Debug)]
struct Running {
    core: Arc<Core>,
    folder: PathBuf,
    socket: PathBuf,
    /// The thread that accepts connections, which returns those of the connections.
    listener: Mutex<Listener>,
}

#[derive(Debug, Default)]
struct Listener {
    accepting: Option<JoinHandle<Vec<JoinHandle<()>>>>,
    serving: Vec<JoinHandle<()>>,
}

/// The settings of a [`ScriptedEngine`].
///
/// | setting | default |
/// |---|---|
/// | [`history`](Self::history) | 256 events |
/// | [`versions`](Self::versions) | 1.24 to 1.45 |
/// | [`client_buffer`](Self::client_buffer) | no limit |
///
/// # Examples
/// ```
/// use buslane_docker::testing::ScriptedEngine;
/// let old = ScriptedEngine::builder().versions((1, 12), (1, 41)).history(64).start()?;
/// assert!(old.host().starts_with("unix:///"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct ScriptedEngineBuilder(Settings);

impl ScriptedEngineBuilder {
    /// Sets the number of events that the engine remembers.
    pub fn history(mut self, events: usize) -> Self {
        self.0.history = events;
        self
    }

    /// Sets the lowest and the highest version of the API.
    pub fn versions(mut self, lowest: (u16, u16), highest: (u16, u16)) -> Self {
        (self.0.lowest, self.0.highest) = (lowest, highest);
        self
    }

    /// Leaves the header `Api-Version` out, as some proxies of the socket do.
    pub fn without_version(mut self) -> Self {
        self.0.has_version = false;
        self
    }

    /// Deviates from Docker as podman does: `since` and `until` are exclusive, and bound events that
    /// happen now as well; the head of the answer comes with the first event; each request for `/info`
    /// shows another id; and a filter of the event `die` matches none.
    pub fn podman(mut self) -> Self {
        self.0.is_podman = true;
        self
    }

    /// Completes the bodies of all clients when the engine stops, as Docker does since 2025. Otherwise
    /// they end without their last chunk.
    pub fn stops_properly(mut self) -> Self {
        self.0.ends_properly = true;
        self
    }

    /// Limits the events that wait for each client, which Docker limits to 1024.
    ///
    /// An event that finds no room is lost for that client: see [`ScriptedEngine::lost`]. It is lost
    /// at once, while Docker first waits for a tenth of a second. What a client gets of the history is
    /// never lost.
    pub fn client_buffer(mut self, events: usize) -> Self {
        self.0.client_buffer = Some(events);
        self
    }

    /// Starts the engine.
    ///
    /// # Errors
    /// When its folder cannot be made, or it cannot listen there: the path of a socket has about
    /// a hundred bytes at most.
    pub fn start(self) -> io::Result<ScriptedEngine> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("buslane-engine-{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let engine = ScriptedEngine(Arc::new(Running {
            core: Arc::new(Core::new(self.0)),
            socket: folder.join("docker.sock"),
            folder,
            listener: Mutex::default(),
        }));
        engine.listen()?;
        Ok(engine)
    }
}

impl ScriptedEngine {
    /// Starts an engine with the default settings.
    ///
    /// # Errors
    /// Those of [`ScriptedEngineBuilder::start`].
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> ScriptedEngineBuilder {
        ScriptedEngineBuilder(Settings {
            history: 256,
            lowest: (1, 24),
            highest: (1, 45),
            has_version: true,
            is_podman: false,
            ends_properly: false,
            client_buffer: None,
        })
    }

    /// Returns the path of the socket. It stays the same when the engine stops and listens again.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.0.socket
    }

    /// Returns the address as `DOCKER_HOST` has it: `unix://` and the path of the socket.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.0.socket.display())
    }

    /// Lets an event happen. Returns its time.
    ///
    /// While the engine does not listen, events happen as well, and are in its history: then it is
    /// only the way to it that is closed.
    pub fn emit(&self, event: ScriptedEvent) -> u64 {
        self.emit_all([event])
    }

    /// Lets events happen at once, with the times of the clock one after another. Returns the time of
    /// the last one.
    pub fn emit_all(&self, events: impl IntoIterator<Item = ScriptedEvent>) -> u64 {
        self.0.core.emit(events, None)
    }

    /// Lets an event happen, of which clients get a part only before every connection ends. Returns
    /// its time.
    pub fn emit_cut(&self, event: ScriptedEvent, cut: Cut) -> u64 {
        self.0.core.emit([event], Some(cut))
    }

    /// Sends bytes to each client that follows the events, as one chunk. They are in no history.
    ///
    /// # Examples
    /// ```
    /// let engine = buslane_docker::testing::ScriptedEngine::start()?;
    /// engine.send(b"{\"Type\": 7}\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send(&self, bytes: &[u8]) {
        self.0.core.change(|state| state.send(&super::chunks::chunk(bytes)));
    }

    /// Ends the body of each client that follows the events, with its last chunk.
    pub fn end(&self) {
        self.0.core.change(|state| state.end(End::Proper));
    }

    /// Ends the body of each client that follows the events, without its last chunk, after what was
    /// sent until now.
    pub fn cut(&self) {
        self.0.core.change(|state| state.end(End::Cut));
    }

    /// Stops listening, removes the socket, and ends each connection. Clients that follow the events
    /// still get what was sent until now.
    ///
    /// [`listen`](Self::listen) continues, with the history and all that happened meanwhile.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Listens again after a [`stop`](Self::stop). Does nothing while the engine listens.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(&self) -> io::Result<()> {
        let mut listener = self.0.lock();
        if listener.accepting.is_none() {
            let socket = UnixListener::bind(&self.0.socket)?;
            self.0.core.change(|state| state.is_listening = true);
            let core = self.0.core.clone();
            listener.serving.retain(|thread| !thread.is_finished());
            listener.accepting = Some(thread::spawn(move || accept(&core, &socket)));
        }
        Ok(())
    }

    /// Stops, loses the history, and listens again, as the daemon does when it is restarted.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn restart(&self) -> io::Result<()> {
        self.stop();
        self.clear_history();
        self.listen()
    }

    /// Loses the history.
    pub fn clear_history(&self) {
        self.0.core.change(|state| state.history.clear());
    }

    /// Returns the time of the clock, in nanoseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.core.lock().clock
    }

    /// Sets the clock, forward or back.
    pub fn set_time(&self, time: u64) {
        self.0.core.change(|state| {
            state.clock = time;
            state.end_what_is_over();
        });
    }

    /// Sets the clock forward.
    pub fn advance(&self, duration: Duration) {
        self.0.core.change(|state| {
            state.clock = time::after(state.clock, duration);
            state.end_what_is_over();
        });
    }

    /// Sets how events are divided into chunks from now on.
    pub fn set_framing(&self, framing: Framing) {
        self.0.core.change(|state| state.framing = framing);
    }

    /// Sets the id that `/info` shows, as if another engine were there.
    pub fn set_id(&self, id: impl Into<String>) {
        let id = id.into();
        self.0.core.change(|state| state.id = id);
    }

    /// Sends the last events of the history twice to the next client that asks with `since`, as an
    /// engine does with those that happen while it takes the client in.
    pub fn repeat_at_seam(&self, events: usize) {
        self.0.core.change(|state| state.repeats = events);
    }

    /// Gives this answer to the next request, and the one after that the answer of the next call.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::testing::{Answer, Endpoint, ScriptedEngine};
    /// let engine = ScriptedEngine::start()?;
    /// engine.answer_next(Endpoint::Ping, Answer::Silence);
    /// engine.answer_next(Endpoint::Events, Answer::Status(500, "no space left".into()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn answer_next(&self, endpoint: Endpoint, answer: Answer) {
        self.0.core.change(|state| state.next_answers.entry(endpoint).or_default().push_back(answer));
    }

    /// Gives this answer to every request, until [`answer_normally`](Self::answer_normally).
    pub fn answer_always(&self, endpoint: Endpoint, answer: Answer) {
        self.0.core.change(|state| state.answers.insert(endpoint, answer));
    }

    /// Gives the engine's own answer to every request from now on.
    pub fn answer_normally(&self, endpoint: Endpoint) {
        self.0.core.change(|state| {
            state.answers.remove(&endpoint);
            state.next_answers.remove(&endpoint);
        });
    }

    /// Answers no request for an endpoint until [`release`](Self::release), or until the engine stops.
    /// Then it answers by what it knows at that time.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::testing::{Endpoint, ScriptedEngine, ScriptedEvent};
    /// let engine = ScriptedEngine::start()?;
    /// engine.hold(Endpoint::Events);
    /// engine.emit(ScriptedEvent::new("volume", "create", "while a client opens a stream"));
    /// engine.release(Endpoint::Events);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn hold(&self, endpoint: Endpoint) {
        self.0.core.change(|state| state.held.insert(endpoint));
    }

    /// Answers the requests for an endpoint that are [held](Self::hold), and those that come.
    pub fn release(&self, endpoint: Endpoint) {
        self.0.core.change(|state| state.held.remove(&endpoint));
    }

    /// Returns everything that happened, each with its time, in the order in which it happened.
    #[must_use]
    pub fn events(&self) -> Vec<ScriptedEvent> {
        self.0.core.lock().events.iter().map(|event| ScriptedEvent::clone(event)).collect()
    }

    /// Returns the requests until now.
    #[must_use]
    pub fn requests(&self) -> Vec<ScriptedRequest> {
        self.0.core.lock().requests.clone()
    }

    /// Returns the number of connections until now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.0.core.lock().accepted
    }

    /// Returns the number of clients that follow the events.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.core.lock().streams()
    }

    /// Returns the number of events that clients did not get because of their
    /// [buffer](ScriptedEngineBuilder::client_buffer).
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.core.lock().lost
    }

    /// Waits until as many clients follow the events.
    #[track_caller]
    pub fn wait_streams(&self, streams: usize) {
        self.0.core.wait_until(&format!("{streams} clients that follow the events"), |state| {
            state.streams() == streams
        });
    }

    /// Waits until there were as many requests for an endpoint.
    #[track_caller]
    pub fn wait_requests(&self, endpoint: Endpoint, requests: usize) {
        self.0.core.wait_until(&format!("{requests} requests of {endpoint:?}"), |state| {
            state.requests.iter().filter(|request| request.endpoint() == endpoint).count() >= requests
        });
    }

    /// Waits until all that was sent is written into the sockets of the clients.
    #[track_caller]
    pub fn wait_written(&self) {
        self.0.core.wait_until("clients that read", |state| state.is_written());
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        let end = if self.core.settings.ends_properly { End::Proper } else { End::Cut };
        let mut listener = self.lock();
        self.core.change(|state| state.is_listening = false);
        if let Some(accepting) = listener.accepting.take() {
            // The thread waits for a connection, so it gets one. Without its socket it waits for ever.
            if UnixStream::connect(&self.socket).is_ok() {
                listener.serving.extend(accepting.join().unwrap_or_default());
            }
        }
        let _ = fs::remove_file(&self.socket);
        self.core.change(|state| state.stop(end));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        self.core.change(|state| state.end_all());
        for thread in std::mem::take(&mut self.lock().serving) {
            let _ = thread.join();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
