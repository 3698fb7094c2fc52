//! Decoding of one event: a visitor that moves strings into a text that is reused.
//!
//! Written by hand, because a derived implementation would allocate each string and each attribute.
//! Strings are taken as bytes, and the text of the whole event is checked once: whether it is UTF-8 is
//! asked once for an event, and not once for each of its strings.

use crate::event::{DockerEvent, ENTRY_HEAD, LONGEST_TEXT, Precision, Span, encode};
use crate::kind::Scope;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;
use std::sync::Arc;

const SECOND: i64 = 1_000_000_000;
/// The longest message of an engine that is kept.
const LONGEST_MESSAGE: usize = 200;

/// The memory that decoding reuses.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The strings of the event.
    text: Vec<u8>,
    /// Strings that are not kept.
    rest: Vec<u8>,
    /// What the engine reported in place of an event, if that is what was decoded last.
    pub(crate) message: Option<String>,
}

/// Decodes an event with the help of a scratch.
pub(crate) struct EventSeed<'a>(pub(crate) &'a mut Scratch);

impl<'de> DeserializeSeed<'de> for EventSeed<'_> {
    type Value = DockerEvent;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DockerEvent, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Deserialize<'de> for DockerEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        EventSeed(&mut Scratch::default()).deserialize(deserializer)
    }
}

/// A field of an event, by the names of the engine.
enum Field {
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

struct FieldSeed;

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for FieldSeed {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
        self.visit_bytes(name.as_bytes())
    }

    #[inline]
    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Field, E> {
        Ok(match name {
            b"Type" => Field::Kind,
            b"Action" => Field::Action,
            b"Actor" => Field::Actor,
            b"scope" => Field::Scope,
            b"time" => Field::Time,
            b"timeNano" => Field::TimeNano,
            b"status" => Field::Status,
            b"id" => Field::Id,
            b"from" => Field::From,
            b"HealthStatus" => Field::Health,
            b"message" => Field::Message,
            _ => Field::Other,
        })
    }
}

/// Appends a string to a text, and returns where it is. `None` if it is null.
struct TextSeed<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for TextSeed<'_> {
    type Value = Option<Span>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Span>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for TextSeed<'_> {
    type Value = Option<Span>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Span>, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Span>, E> {
        self.visit_bytes(text.as_bytes())
    }

    #[inline]
    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Option<Span>, E> {
        let at = self.0.len();
        if at + text.len() + ENTRY_HEAD > LONGEST_TEXT {
            return Err(E::custom("the event is too long"));
        }
        // No string ends inside a character then, if the text of all of them is UTF-8.
        if text.first().is_some_and(|byte| byte & 0xc0 == 0x80) {
            return Err(E::custom("a string is no UTF-8"));
        }
        self.0.extend_from_slice(text);
        Ok(Some(span(at, self.0.len())))
    }

    fn visit_none<E: Error>(self) -> Result<Option<Span>, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Span>, E> {
        Ok(None)
    }
}

/// Both are below [`LONGEST_TEXT`].
#[inline]
fn span(at: usize, end: usize) -> Span {
    Span { at: at as u32, end: end as u32 }
}

/// A number, which some engines send as a fraction. `None` if it is null.
struct NumberSeed;

impl<'de> DeserializeSeed<'de> for NumberSeed {
    type Value = Option<i64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<i64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for NumberSeed {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<i64>, E> {
        Ok(Some(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<i64>, E> {
        Ok(Some(number.try_into().unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<i64>, E> {
        // Saturates.
        Ok(Some(number as i64))
    }

    fn visit_unit<E: Error>(self) -> Result<Option<i64>, E> {
        Ok(None)
    }
}

/// Decodes the object of an event.
struct ActorSeed<'a>(&'a mut Vec<u8>);

#[derive(Default)]
struct Actor {
    id: Option<Span>,
    attributes: Option<Span>,
}

impl<'de> DeserializeSeed<'de> for ActorSeed<'_> {
    type Value = Actor;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Actor, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ActorSeed<'_> {
    type Value = Actor;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an actor")
    }

    fn visit_unit<E: Error>(self) -> Result<Actor, E> {
        Ok(Actor::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Actor, A::Error> {
        let mut actor = Actor::default();
        while let Some(field) = map.next_key_seed(ActorFieldSeed)? {
            match field {
                ActorField::Id => actor.id = map.next_value_seed(TextSeed(self.0))?,
                ActorField::Attributes => actor.attributes = map.next_value_seed(AttributesSeed(self.0))?,
                ActorField::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(actor)
    }
}

enum ActorField {
    Id,
    Attributes,
    Other,
}

struct ActorFieldSeed;

impl<'de> DeserializeSeed<'de> for ActorFieldSeed {
    type Value = ActorField;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ActorField, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for ActorFieldSeed {
    type Value = ActorField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<ActorField, E> {
        self.visit_bytes(name.as_bytes())
    }

    #[inline]
    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<ActorField, E> {
        Ok(match name {
            b"ID" => ActorField::Id,
            b"Attributes" => ActorField::Attributes,
            _ => ActorField::Other,
        })
    }
}

/// Appends the entries of all attributes to a text.
struct AttributesSeed<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for AttributesSeed<'_> {
    type Value = Option<Span>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Span>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AttributesSeed<'_> {
    type Value = Option<Span>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attributes")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Span>, E> {
        Ok(None)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Span>, A::Error> {
        let text = self.0;
        let begin = text.len();
        loop {
            let head = text.len();
            text.extend_from_slice(&[b'0'; ENTRY_HEAD]);
            let Some(key) = map.next_key_seed(TextSeed(&mut *text))? else {
                text.truncate(head);
                break;
            };
            let key = key.map_or(0, |key| (key.end - key.at) as usize);
            let value = map.next_value_seed(TextSeed(&mut *text))?;
            end_entry(text, head, key, value.map_or(0, |value| (value.end - value.at) as usize));
        }
        Ok(Some(span(begin, text.len())))
    }
}

/// Writes the lengths of the entry that begins at `head`.
#[inline]
fn end_entry(text: &mut [u8], head: usize, key: usize, value: usize) {
    encode(key, &mut text[head..head + 4]);
    encode(value, &mut text[head + 4..head + ENTRY_HEAD]);
}

impl<'de> Visitor<'de> for EventSeed<'_> {
    type Value = DockerEvent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DockerEvent, A::Error> {
        let Scratch { text, rest, message } = self.0;
        text.clear();
        rest.clear();
        *message = None;
        let (mut kind, mut action, mut actor) = (None, None, None);
        let (mut scope, mut time, mut nanos) = (None, None, None);
        let (mut status, mut id, mut from, mut health, mut reported) = (None, None, None, None, None);
        while let Some(field) = map.next_key_seed(FieldSeed)? {
            match field {
                Field::Kind => kind = map.next_value_seed(TextSeed(text))?,
                Field::Action => action = map.next_value_seed(TextSeed(text))?,
                Field::Actor => actor = Some(map.next_value_seed(ActorSeed(text))?),
                Field::Scope => scope = map.next_value_seed(TextSeed(rest))?,
                Field::Time => time = map.next_value_seed(NumberSeed)?,
                Field::TimeNano => nanos = map.next_value_seed(NumberSeed)?,
                Field::Status => status = map.next_value_seed(TextSeed(rest))?,
                Field::Id => id = map.next_value_seed(TextSeed(rest))?,
                Field::From => from = map.next_value_seed(TextSeed(rest))?,
                Field::Health => health = map.next_value_seed(TextSeed(rest))?,
                Field::Message => reported = map.next_value_seed(TextSeed(rest))?,
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let rest = &*rest;
        let of = |span: Span| &rest[span.at as usize..span.end as usize];
        if kind.is_none() && action.is_none() && actor.is_none() && status.is_none() {
            *message = reported.map(|span| shortened(of(span)));
            return Err(de::Error::custom("not an event: it has no field of one"));
        }
        let mut actor = actor.unwrap_or_default();
        action = action.or_else(|| Some(append(text, of(status?))));
        actor.id = actor.id.or_else(|| Some(append(text, of(id?))));
        if actor.attributes.is_none()
            && let Some(image) = from.map(of).filter(|image| !image.is_empty())
        {
            let head = text.len();
            text.extend_from_slice(&[b'0'; ENTRY_HEAD]);
            text.extend_from_slice(b"image");
            text.extend_from_slice(image);
            end_entry(text, head, "image".len(), image.len());
            actor.attributes = Some(span(head, text.len()));
        }
        if let (Some(name), Some(health)) = (action, health.map(of).filter(|health| !health.is_empty()))
            && text[name.at as usize..name.end as usize] == *b"health_status"
        {
            let whole = [&b"health_status: "[..], health].concat();
            action = Some(append(text, &whole));
        }
        let (time_nano, precision) = match (nanos.filter(|nanos| *nanos != 0), time) {
            (Some(nanos), _) => (nanos, Precision::Nanoseconds),
            (None, Some(seconds)) => (seconds.saturating_mul(SECOND), Precision::Seconds),
            (None, None) => (0, Precision::None),
        };
        // Fails if a string is no UTF-8.
        let text: Arc<str> = std::str::from_utf8(text).map_err(de::Error::custom)?.into();
        Ok(DockerEvent {
            text,
            time_nano,
            kind: kind.unwrap_or_default(),
            action: action.unwrap_or_default(),
            id: actor.id.unwrap_or_default(),
            attributes: actor.attributes.unwrap_or_default(),
            precision,
            scope: scope.and_then(|scope| Scope::from_name(std::str::from_utf8(of(scope)).ok()?)),
        })
    }
}

fn append(text: &mut Vec<u8>, more: &[u8]) -> Span {
    let at = text.len();
    text.extend_from_slice(more);
    span(at, text.len())
}

fn shortened(message: &[u8]) -> String {
    String::from_utf8_lossy(&message[..message.len().min(LONGEST_MESSAGE)]).into_owned()
}
