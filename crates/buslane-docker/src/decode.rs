//! Decoding of one event: a visitor that moves strings into a text that is reused.
//!
//! Written by hand, because a derived implementation would allocate each string and each attribute.
//! Strings are taken as bytes, and the text of the whole event is checked once: whether it is UTF-8 is
//! asked once for an event, and not once for each of its strings.

use crate::event::{DockerEvent, Outline, Span};
use crate::parts::{Actor, ActorField, Field, Parts, Scratch, append, begin_entry, end_entry};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Decodes an event with the help of a scratch, whose block gets its text.
pub(crate) struct EventSeed<'a>(pub(crate) &'a mut Scratch);

impl<'de> DeserializeSeed<'de> for EventSeed<'_> {
    type Value = Outline;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Outline, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Deserialize<'de> for DockerEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut scratch = Scratch::default();
        let outline = EventSeed(&mut scratch).deserialize(deserializer)?;
        Ok(outline.in_block(&scratch.block.into()))
    }
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
        Ok(Field::of(name))
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
        append(self.0, text).map(Some).map_err(E::custom)
    }

    fn visit_none<E: Error>(self) -> Result<Option<Span>, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Span>, E> {
        Ok(None)
    }
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
        Ok(ActorField::of(name))
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
            let head = begin_entry(text);
            let Some(key) = map.next_key_seed(TextSeed(&mut *text))? else {
                text.truncate(head);
                break;
            };
            let value = map.next_value_seed(TextSeed(&mut *text))?;
            end_entry(text, head, key.unwrap_or_default(), value.unwrap_or_default());
        }
        Ok(Some(Span::between(begin, text.len())))
    }
}

impl<'de> Visitor<'de> for EventSeed<'_> {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let Scratch { text, rest, message, .. } = self.0;
        text.clear();
        rest.clear();
        *message = None;
        let mut parts = Parts::default();
        while let Some(field) = map.next_key_seed(FieldSeed)? {
            match field {
                Field::Kind => parts.kind = map.next_value_seed(TextSeed(text))?,
                Field::Action => parts.action = map.next_value_seed(TextSeed(text))?,
                Field::Actor => parts.actor = Some(map.next_value_seed(ActorSeed(text))?),
                Field::Scope => parts.scope = map.next_value_seed(TextSeed(rest))?,
                Field::Time => parts.time = map.next_value_seed(NumberSeed)?,
                Field::TimeNano => parts.nanos = map.next_value_seed(NumberSeed)?,
                Field::Status => parts.status = map.next_value_seed(TextSeed(rest))?,
                Field::Id => parts.id = map.next_value_seed(TextSeed(rest))?,
                Field::From => parts.from = map.next_value_seed(TextSeed(rest))?,
                Field::Health => parts.health = map.next_value_seed(TextSeed(rest))?,
                Field::Message => parts.message = map.next_value_seed(TextSeed(rest))?,
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        parts.join(self.0).map_err(Error::custom)
    }
}
