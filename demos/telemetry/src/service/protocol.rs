//! The protocol: a line for each request, and one for each reply.
//!
//! ```text
//! GET key            200 + value
//! SET key value      200 -
//! DEL key            404 +
//! ```
//!
//! The sign says whether telemetry was on for the request, so that clients can keep the two apart
//! exactly.

use super::sample::Operation;

/// A request, borrowed from the line that it came in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request<'a> {
    Get { key: &'a [u8] },
    Set { key: &'a [u8], value: &'a [u8] },
    Del { key: &'a [u8] },
    Bad,
}

impl<'a> Request<'a> {
    /// Reads a line without its end.
    pub(crate) fn parse(line: &'a [u8]) -> Self {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(b"GET"), Some(key), None, None) => Self::Get { key },
            (Some(b"SET"), Some(key), Some(value), None) => Self::Set { key, value },
            (Some(b"DEL"), Some(key), None, None) => Self::Del { key },
            _ => Self::Bad,
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Get { .. } => Operation::Get,
            Self::Set { .. } => Operation::Set,
            Self::Del { .. } => Operation::Del,
            Self::Bad => Operation::Unknown,
        }
    }

    /// The key; empty where there is none.
    pub(crate) fn key(&self) -> &'a [u8] {
        match self {
            Self::Get { key } | Self::Set { key, .. } | Self::Del { key } => key,
            Self::Bad => &[],
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Status {
    Done = 200,
    BadRequest = 400,
    NotFound = 404,
}

/// Appends a reply's line.
pub(crate) fn write_reply(output: &mut Vec<u8>, status: Status, is_recorded: bool, value: &[u8]) {
    output.extend_from_slice(match status {
        Status::Done => b"200 ",
        Status::BadRequest => b"400 ",
        Status::NotFound => b"404 ",
    });
    output.extend_from_slice(if is_recorded { b"+ " } else { b"- " });
    output.extend_from_slice(value);
    output.push(b'\n');
}

/// What a client reads in a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) is_success: bool,
    /// Whether telemetry was on.
    pub(crate) is_recorded: bool,
}

impl Reply {
    /// Reads a reply's line; `None` if it is none.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let (head, _) = line.split_at_checked(6)?;
        let is_success = match &head[..4] {
            b"200 " => true,
            b"400 " | b"404 " => false,
            _ => return None,
        };
        let is_recorded = match &head[4..] {
            b"+ " => true,
            b"- " => false,
            _ => return None,
        };
        line.ends_with(b"\n").then_some(Self { is_success, is_recorded })
    }
}
