//! A blocking client of an inspected service, on the standard library.
//!
//! | item | what it does |
//! |---|---|
//! | [`Client`] | takes a frame, or follows a service |
//! | [`Target`] | names a service by its socket or its port |
//! | [`find`], [`list`] | the sockets of this user's services |

mod answer;
mod found;
mod named;
mod stream;
mod target;

pub use crate::error::ClientError;
pub use found::{Found, State, find, list};
pub use target::Target;

use crate::frame::{Frame, VERSION};
use answer::Answer;
use std::io::Write;
use std::time::Duration;
use stream::{LIMIT, Stream};

/// A client of one service.
///
/// Each request uses a connection of its own.
///
/// # Examples
/// ```
/// use buslane::{Bus, noop};
/// use buslane_inspect::client::{Client, Target};
/// use buslane_inspect::{At, Inspector};
/// let bus = Bus::<u32>::new();
/// bus.add_named("audit", noop())?;
/// let serving = Inspector::builder().register("orders", &bus).serve(At::Loopback(0))?;
///
/// let client = Client::connect(serving.at().into())?;
/// assert_eq!(client.snapshot()?.buses[0].sinks[0].name, "audit");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    target: Target,
}

impl Client {
    /// Connects to a service, and checks that it answers.
    ///
    /// # Errors
    /// [`ClientError::NoService`], [`ClientError::Denied`] or [`ClientError::NotAService`].
    pub fn connect(target: Target) -> Result<Self, ClientError> {
        let client = Self { target };
        client.snapshot()?;
        Ok(client)
    }

    /// Returns the target.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), and [`ClientError::TooNew`].
    pub fn snapshot(&self) -> Result<Frame, ClientError> {
        parse(&self.snapshot_text()?)
    }

    /// Takes one frame, as the text that the service sent.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub fn snapshot_text(&self) -> Result<String, ClientError> {
        let mut answer = self.get("/snapshot")?;
        let text = answer.rest()?;
        Ok(text.trim_end().to_owned())
    }

    /// Follows the service: returns a frame at once, and another one after each interval.
    ///
    /// The service accepts intervals from 100 ms to 60 s.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub fn follow(&self, every: Duration) -> Result<Frames, ClientError> {
        let answer = self.get(&format!("/snapshots?every={}", every.as_millis()))?;
        answer.wait_at_most(every.saturating_add(LIMIT))?;
        Ok(Frames { answer, ended: false })
    }

    /// Sends a request, and returns the answer if the service grants the request.
    fn get(&self, path: &str) -> Result<Answer, ClientError> {
        let mut stream = Stream::connect(&self.target)?;
        let host = self.target.host();
        // In one piece: the service answers when it has read all of it.
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        // A service that refuses the connection may close it before it reads the request.
        let sent = stream.write_all(request.as_bytes());
        let answer = Answer::read(stream);
        match (sent, answer) {
            (Err(error), Err(_)) => Err(error.into()),
            (_, answer) => answer,
        }
    }
}

/// The frames of a service that is followed.
///
/// It ends when the service ends, and after an error.
#[derive(Debug)]
pub struct Frames {
    answer: Answer,
    ended: bool,
}

impl Iterator for Frames {
    type Item = Result<Frame, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = match self.answer.line() {
            Ok(None) => None,
            Ok(Some(line)) => Some(parse(&line)),
            Err(error) => Some(Err(error)),
        };
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Parses a frame, if this crate reads its version.
fn parse(text: &str) -> Result<Frame, ClientError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    // The version first: a newer format may have other types.
    let invalid = |error: serde_json::Error| ClientError::NotAService(error.to_string());
    let Version { version } = serde_json::from_str(text).map_err(invalid)?;
    if version > VERSION {
        return Err(ClientError::TooNew(version));
    }
    serde_json::from_str(text).map_err(invalid)
}
