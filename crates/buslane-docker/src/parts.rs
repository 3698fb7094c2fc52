//! The parts of an event while it is decoded, and how they are joined.
//!
//! Both decoders fill the same parts, so both make the same event of the same bytes: the text is what
//! an event is recognized by when it comes again.

use crate::event::{ENTRY_HEAD, LONGEST_TEXT, Outline, Precision, Span, encode};
use crate::kind::Scope;

const SECOND: i64 = 1_000_000_000;
/// The longest message of an engine that is kept.
const LONGEST_MESSAGE: usize = 200;
const NO_UTF_8: &str = "a string is no UTF-8";

/// The memory that decoding reuses.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The texts of the events that were decoded since it was cleared.
    pub(crate) block: String,
    /// The strings of the event.
    pub(crate) text: Vec<u8>,
    /// Strings that are not kept.
    pub(crate) rest: Vec<u8>,
    /// What the engine reported in place of an event, if that is what was decoded last.
    pub(crate) message: Option<String>,
}

/// A field of an event, by the names of the engine.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    Kind,
    Action,
    Actor,
    Scope,
    Time,
    TimeNano,
    /// Before version 1.52 of the API: the action, the identifier and the image once more.
    Status,
    Id,
    From,
    /// Podman's.
    Health,
    /// What an engine sends in place of an event.
    Message,
    Other,
}

impl Field {
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"Type" => Self::Kind,
            b"Action" => Self::Action,
            b"Actor" => Self::Actor,
            b"scope" => Self::Scope,
            b"time" => Self::Time,
            b"timeNano" => Self::TimeNano,
            b"status" => Self::Status,
            b"id" => Self::Id,
            b"from" => Self::From,
            b"HealthStatus" => Self::Health,
            b"message" => Self::Message,
            _ => Self::Other,
        }
    }
}

/// The object of an event.
#[derive(Default)]
pub(crate) struct Actor {
    pub(crate) id: Option<Span>,
    pub(crate) attributes: Option<Span>,
}

/// A field of the object of an event.
#[derive(Clone, Copy)]
pub(crate) enum ActorField {
    Id,
    Attributes,
    Other,
}

impl ActorField {
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"ID" => Self::Id,
            b"Attributes" => Self::Attributes,
            _ => Self::Other,
        }
    }
}

/// What an engine has sent of an event. Strings are positions in the scratch: the kind, the action
/// and the actor in its text, others in the rest.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) kind: Option<Span>,
    pub(crate) action: Option<Span>,
    pub(crate) actor: Option<Actor>,
    pub(crate) scope: Option<Span>,
    pub(crate) time: Option<i64>,
    pub(crate) nanos: Option<i64>,
    pub(crate) status: Option<Span>,
    pub(crate) id: Option<Span>,
    pub(crate) from: Option<Span>,
    pub(crate) health: Option<Span>,
    pub(crate) message: Option<Span>,
}

impl Parts {
    /// Joins the parts to an event, and appends its text to the block. An error says why they are none.
    #[inline]
    pub(crate) fn join(self, scratch: &mut Scratch) -> Result<Outline, &'static str> {
        let Scratch { block, text, rest, message } = scratch;
        let of = |span: Span| &rest[span.at as usize..span.end as usize];
        let Self { kind, mut action, actor, status, id, .. } = self;
        if kind.is_none() && action.is_none() && actor.is_none() && status.is_none() {
            *message = self.message.map(|span| shortened(of(span)));
            return Err("not an event: it has no field of one");
        }
        let mut actor = actor.unwrap_or_default();
        if action.is_none() {
            action = status.map(|status| append(text, of(status))).transpose()?;
        }
        if actor.id.is_none() {
            actor.id = id.map(|id| append(text, of(id))).transpose()?;
        }
        if actor.attributes.is_none()
            && let Some(image) = self.from.map(of).filter(|image| !image.is_empty())
        {
            let head = begin_entry(text);
            let (key, value) = (append(text, b"image")?, append(text, image)?);
            end_entry(text, head, key, value);
            actor.attributes = Some(Span::between(head, text.len()));
        }
        if let (Some(name), Some(health)) = (action, self.health.map(of).filter(|health| !health.is_empty()))
            && text[name.at as usize..name.end as usize] == *b"health_status"
        {
            let whole = [&b"health_status: "[..], health].concat();
            action = Some(append(text, &whole)?);
        }
        let (time_nano, precision) = match (self.nanos.filter(|nanos| *nanos != 0), self.time) {
            (Some(nanos), _) => (nanos, Precision::Nanoseconds),
            (None, Some(seconds)) => (whole_seconds(seconds), Precision::Seconds),
            (None, None) => (0, Precision::None),
        };
        let begin = block.len();
        block.push_str(std::str::from_utf8(text).map_err(|_| NO_UTF_8)?);
        Ok(Outline {
            whole: Span::between(begin, block.len()),
            time_nano,
            kind: kind.unwrap_or_default(),
            action: action.unwrap_or_default(),
            id: actor.id.unwrap_or_default(),
            attributes: actor.attributes.unwrap_or_default(),
            precision,
            scope: self.scope.and_then(|scope| Scope::from_name(std::str::from_utf8(of(scope)).ok()?)),
        })
    }
}

/// Returns nanoseconds. A time out of their range becomes the last whole second within.
#[inline]
fn whole_seconds(seconds: i64) -> i64 {
    seconds.clamp(i64::MIN / SECOND, i64::MAX / SECOND) * SECOND
}

/// Appends a string to a text, and returns where it is.
#[inline]
pub(crate) fn append(text: &mut Vec<u8>, string: &[u8]) -> Result<Span, &'static str> {
    let at = text.len();
    if at + string.len() + ENTRY_HEAD > LONGEST_TEXT {
        return Err("the event is too long");
    }
    // No string ends inside a character then, if the text of all of them is UTF-8.
    if string.first().is_some_and(|byte| byte & 0xc0 == 0x80) {
        return Err(NO_UTF_8);
    }
    text.extend_from_slice(string);
    Ok(Span::between(at, text.len()))
}

/// Appends the head of an entry, and returns where the entry begins.
#[inline]
pub(crate) fn begin_entry(text: &mut Vec<u8>) -> usize {
    let head = text.len();
    text.extend_from_slice(&[b'0'; ENTRY_HEAD]);
    head
}

/// Writes the lengths of the entry that begins at `head`.
#[inline]
pub(crate) fn end_entry(text: &mut [u8], head: usize, key: Span, value: Span) {
    let length = |span: Span| (span.end - span.at) as usize;
    encode(length(key), &mut text[head..head + 4]);
    encode(length(value), &mut text[head + 4..head + ENTRY_HEAD]);
}

fn shortened(message: &[u8]) -> String {
    String::from_utf8_lossy(&message[..message.len().min(LONGEST_MESSAGE)]).into_owned()
}
