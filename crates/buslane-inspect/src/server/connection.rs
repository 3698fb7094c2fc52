//! The steps of one connection: a request, its response, and so on, until either side ends it.

use super::output::{LIMIT as OUTPUT_LIMIT, Output};
use super::request::{self, Request, TapRequest, Wanted};
use super::response::{self, Refusal};
use super::socket::Stream;
use super::stream::{Frames, Source, Tapped, line};
use crate::page::page;
use crate::registry::Inspector;
use crate::tap::{TapError, TapSettings};
use crate::warnings::Watch;
use buslane::stats::metrics::{Exposition, Format};
use std::io::{self, Read};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// The time that a client has for its request, and for reading a part of a response.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// The time for which a client may stay connected between two requests.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// The time for which the rest of a refused request is read. A connection that is closed with unread
/// bytes is reset, and the client might not get the response.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// The time for which a client may read nothing of what waits for it.
const STUCK_TIME: Duration = Duration::from_secs(30);

/// The most bytes that one turn reads from a client.
const TURN: usize = 64 * 1024;

pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// Whether the client has closed its side.
    ended: bool,
    input: Vec<u8>,
    output: Output,
    phase: Phase,
    /// When the current phase began. Of a request that is awaited: when its first byte came.
    since: Instant,
    /// When the client last had nothing left to read, or read something, in the current phase.
    read_at: Instant,
    /// Whether every request is refused, because there are too many connections.
    pub(super) surplus: bool,
}

enum Phase {
    /// A request is awaited.
    Request,
    /// A complete response is being sent; then, whether another request may follow.
    Response(bool),
    /// Lines are sent for as long as the client reads.
    Streaming(Source, bool),
    /// The client is to read the response, and to end the connection.
    Lingering,
}

/// Whether a connection still exists.
#[derive(PartialEq, Eq)]
pub(super) enum Life {
    Open,
    Ended,
}

impl Connection {
    pub(super) fn new(stream: Stream, surplus: bool, now: Instant) -> Self {
        Self {
            stream,
            readable: true,
            writable: true,
            ended: false,
            input: Vec::new(),
            output: Output::default(),
            phase: Phase::Request,
            since: now,
            read_at: now,
            surplus,
        }
    }

    /// Returns since when the connection has waited for a request of which nothing has come yet.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (matches!(self.phase, Phase::Request) && self.input.is_empty()).then_some(self.since)
    }

    /// Returns when the connection has to be advanced at the latest.
    pub(super) fn due(&self) -> Instant {
        if self.readable && self.reads() {
            // More can be read than one turn reads, and no further event reports it.
            return self.since;
        }
        self.limit()
    }

    /// Returns when the phase ends by itself, or has more to send.
    fn limit(&self) -> Instant {
        match &self.phase {
            Phase::Request if self.input.is_empty() => self.since + IDLE_TIME,
            Phase::Request | Phase::Response(_) => self.since + REQUEST_TIME,
            Phase::Streaming(source, _) if self.output.is_empty() => source.due(),
            Phase::Streaming(source, _) => source.due().min(self.read_at + STUCK_TIME),
            Phase::Lingering => self.since + LINGER_TIME,
        }
    }

    /// Returns whether bytes of the client are read now. Requests that follow wait in the socket
    /// until this one is answered.
    fn reads(&self) -> bool {
        !self.ended && (!self.awaits_input() || self.input.len() < request::LIMIT)
    }

    /// Returns whether what is read is kept as the next request.
    fn awaits_input(&self) -> bool {
        matches!(self.phase, Phase::Request | Phase::Response(_))
    }

    /// Does what can be done without waiting.
    pub(super) fn advance(&mut self, inspector: &Inspector, now: Instant) -> Life {
        self.try_advance(inspector, now).unwrap_or(Life::Ended)
    }

    fn try_advance(&mut self, inspector: &Inspector, now: Instant) -> io::Result<Life> {
        self.receive(now)?;
        let ended = self.ended;
        loop {
            match &mut self.phase {
                Phase::Request => match request::parse(&self.input, self.stream.is_tcp()) {
                    Ok(Some(request)) => self.respond(request, inspector, now),
                    Ok(None) if ended => return Ok(Life::Ended),
                    Ok(None) if now >= self.limit() => {
                        if self.input.is_empty() {
                            return Ok(Life::Ended);
                        }
                        self.refuse(&Refusal::new(408, "the request did not arrive within 5 s"), now);
                    }
                    Ok(None) => return Ok(Life::Open),
                    Err(refusal) => self.refuse(&refusal, now),
                },
                Phase::Response(keep) => {
                    let keep = *keep;
                    let waiting = self.output.len();
                    if !self.send()? {
                        if self.output.len() < waiting {
                            self.since = now;
                        }
                        return Ok(if now >= self.limit() { Life::Ended } else { Life::Open });
                    }
                    if !keep {
                        self.stream.shut_writes();
                    }
                    self.enter(if keep { Phase::Request } else { Phase::Lingering }, now);
                }
                Phase::Streaming(source, chunked) => {
                    // A client that has closed its side reads no further lines. A client that still
                    // has too much to read when more is due is too slow.
                    let is_slow = self.output.len() > OUTPUT_LIMIT && now >= source.due();
                    if self.output.is_empty() {
                        // The time between two frames is not the client's.
                        self.read_at = now;
                    }
                    if ended || is_slow || now >= self.read_at + STUCK_TIME {
                        return Ok(Life::Ended);
                    }
                    let chunked = *chunked;
                    if !source.fill(inspector, &mut self.output, chunked, now) {
                        if chunked {
                            self.output.push(b"0\r\n\r\n");
                        }
                        self.enter(Phase::Response(false), now);
                        continue;
                    }
                    let waiting = self.output.len();
                    if self.send()? || self.output.len() < waiting {
                        self.read_at = now;
                    }
                    return Ok(Life::Open);
                }
                Phase::Lingering => {
                    return Ok(if ended || now >= self.limit() { Life::Ended } else { Life::Open });
                }
            }
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
        self.read_at = now;
    }

    /// Reads what the client has sent.
    fn receive(&mut self, now: Instant) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let mut read = 0;
        while self.readable && read < TURN && self.reads() {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.ended = true;
                    self.readable = false;
                }
                Ok(count) => {
                    read += count;
                    if self.awaits_input() {
                        if self.input.is_empty() && matches!(self.phase, Phase::Request) {
                            self.since = now;
                        }
                        self.input.extend_from_slice(&buffer[..count]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends what waits. Returns whether everything is sent.
    fn send(&mut self) -> io::Result<bool> {
        if self.writable {
            self.writable = self.output.send(&mut self.stream)?;
        }
        Ok(self.output.is_empty())
    }

    fn refuse(&mut self, refusal: &Refusal, now: Instant) {
        self.input.clear();
        self.output.push(&refusal.response());
        self.enter(Phase::Response(false), now);
    }

    fn respond(&mut self, request: Request, inspector: &Inspector, now: Instant) {
        if self.surplus {
            return self.refuse(&Refusal::new(503, "there are too many connections"), now);
        }
        let Request { wanted, keep, chunked, length } = request;
        self.input.drain(..length);
        let extra = if keep { "" } else { "Connection: close\r\n" };
        let (content_type, extra, body) = match wanted {
            Wanted::Page => {
                let (page, policy) = page();
                let extra = format!("{extra}Content-Security-Policy: {policy}\r\n");
                ("text/html; charset=utf-8", extra, page.into_bytes())
            }
            Wanted::Snapshot => ("application/json", extra.to_owned(), line(inspector, &mut Watch::new())),
            Wanted::Metrics(format) => {
                (format.content_type(), extra.to_owned(), metrics(inspector, format).into_bytes())
            }
            Wanted::Snapshots { every } => {
                self.output.push(&response::endless(chunked));
                let frames = Box::new(Frames::new(every, now));
                return self.enter(Phase::Streaming(Source::Frames(frames), chunked), now);
            }
            Wanted::Tap(tap) => return self.tap(tap, chunked, inspector, now),
        };
        self.output.push(&response::complete(200, content_type, &extra, &body));
        self.enter(Phase::Response(keep), now);
    }

    fn tap(&mut self, request: TapRequest, chunked: bool, inspector: &Inspector, now: Instant) {
        let name = &request.bus;
        let refusal = match inspector.open_tap(name, &TapSettings { every: request.every }) {
            Ok(tap) => {
                self.output.push(&response::endless(chunked));
                let tapped = Tapped::new(tap, request, &mut self.output, chunked, now);
                return self.enter(Phase::Streaming(Source::Tap(Box::new(tapped)), chunked), now);
            }
            Err(TapError::Unknown) => Refusal::new(404, format!("no bus is registered as {name:?}")),
            Err(TapError::NotPermitted) => {
                Refusal::new(403, format!("the service does not permit to tap the bus {name:?}"))
            }
            Err(TapError::TooMany) => {
                Refusal::new(429, format!("the bus {name:?} has 4 taps, which is the limit"))
            }
            Err(TapError::Gone) => Refusal::new(410, format!("the bus {name:?} is gone")),
            Err(TapError::Refused(error)) => {
                Refusal::new(410, format!("the bus {name:?} accepts no tap: {error}"))
            }
        };
        self.refuse(&refusal, now);
    }
}

/// Returns the page for a scraper.
fn metrics(inspector: &Inspector, format: Format) -> String {
    let snapshots = inspector.named_snapshots();
    let page = Exposition::new().format(format);
    snapshots.iter().fold(page, |page, (name, snapshot)| page.bus(name, snapshot)).to_string()
}
