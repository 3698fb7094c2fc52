//! Which service to show: by process, by socket, by port, or the only one of this user.

use crate::failure::Failure;
use buslane_inspect::Frame;
use buslane_inspect::client::{self, Client, ClientError, State, Target, list};
use std::fmt;
use std::path::{Path, PathBuf};

/// What to say where a process has no socket.
const ADVICE: &str =
    "the service must call buslane_inspect::serve, or serve_from_env with BUSLANE_INSPECT=unix";

/// A service that answers.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) client: Client,
    /// The frame that it answered with.
    pub(crate) frame: Frame,
    /// Whether it was found by its process. After a restart it has another socket then.
    pub(crate) is_by_process: bool,
}

/// One of several services of this user.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) pid: u32,
    path: PathBuf,
    /// The name of the program, or why the service does not answer.
    pub(crate) program: Result<String, String>,
}

/// The services that an argument names.
pub(crate) enum Found {
    One(Service),
    Several(Vec<Candidate>),
}

impl Service {
    fn connect(target: Target, is_by_process: bool) -> Result<Self, Failure> {
        let asked = Client::connect(target).and_then(|client| Ok((client.snapshot()?, client)));
        let (frame, client) = asked.map_err(Failure::new)?;
        Ok(Self { client, frame, is_by_process })
    }
}

/// Checks that a frame has a bus of this name.
///
/// # Errors
/// When it has none, with the names that it has.
pub(crate) fn has_bus(frame: &Frame, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else { return Ok(()) };
    let names: Vec<_> = frame.buses.iter().map(|bus| bus.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(Failure::new(format_args!("bus {name:?} is invalid: the buses of the service are {names}")))
}

impl Candidate {
    /// Connects to the candidate.
    ///
    /// # Errors
    /// When it does not answer any more.
    pub(crate) fn connect(&self) -> Result<Service, Failure> {
        Service::connect(Target::Unix(self.path.clone()), true)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Ok(text) | Err(text)) = &self.program;
        write!(f, "{} {text}", self.pid)
    }
}

/// Finds the service that an argument names; without an argument, the services of this user.
///
/// # Errors
/// When no service answers, in one line.
pub(crate) fn find(text: Option<&str>) -> Result<Found, Failure> {
    let Some(text) = text else { return find_all() };
    let pid: Option<u32> = text.parse().ok();
    let target = text.parse::<Target>().map_err(|error| match (&error, pid) {
        (ClientError::NoService(_), Some(pid)) => no_socket(pid),
        _ => Failure::new(error),
    })?;
    Service::connect(target, pid.is_some()).map(Found::One)
}

fn no_socket(pid: u32) -> Failure {
    let processes = Path::new("/proc");
    if processes.join("self").exists() && !processes.join(pid.to_string()).exists() {
        return Failure::new(format_args!("process {pid} does not run"));
    }
    Failure::new(format_args!("process {pid} has no socket: {ADVICE}"))
}

fn find_all() -> Result<Found, Failure> {
    let mut alive: Vec<_> = list().into_iter().filter(|found| found.state == State::Alive).collect();
    if alive.len() > 1 {
        let candidates = alive.into_iter().map(|found| {
            let target = Target::Unix(found.path.clone());
            let frame = Client::connect(target).and_then(|client| client.snapshot());
            let program = frame.map(|frame| frame.program).map_err(|error| error.to_string());
            Candidate { pid: found.pid, path: found.path, program }
        });
        return Ok(Found::Several(candidates.collect()));
    }
    let only = alive.pop().ok_or_else(no_service)?;
    Service::connect(Target::Unix(only.path), true).map(Found::One)
}

fn no_service() -> Failure {
    // This process has no socket. Another reason is a directory that must not be used.
    match client::find(std::process::id()) {
        Ok(_) | Err(ClientError::NoService(_)) => Failure::new(format_args!(
            "no service of this user has a socket in the default directory: {ADVICE}"
        )),
        Err(error) => Failure::new(error),
    }
}

/// Finds the service that took the place of one that has ended: the first one of the same program
/// that was started after the last frame of the other.
pub(crate) fn successor(last: &Frame) -> Option<Service> {
    let alive = list().into_iter().filter(|found| found.state == State::Alive);
    alive
        .filter_map(|found| Service::connect(Target::Unix(found.path), true).ok())
        .filter(|service| service.frame.program == last.program && service.frame.started_ms >= last.at_ms)
        .min_by_key(|service| service.frame.started_ms)
}
