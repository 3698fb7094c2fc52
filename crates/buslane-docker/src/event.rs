//! An event of the engine.
//!
//! The strings of an event are one text, one after the other, with the positions in it. The attributes
//! are a row of entries in the same text: the lengths of key and value, four characters of six bits
//! each, and then the key and the value.
//!
//! The texts of events that were read together are one allocation, a *block*, which all of them and
//! their clones share. One thread decodes the events and another one drops them, and memory that
//! returns from another thread costs more than the decoding. So a dozen events share that cost, and a
//! bus with many sinks clones an event for the price of a counter.

use crate::kind::{Action, Kind, Scope};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The bytes upstream of each attribute: the lengths of key and value.
pub(crate) const ENTRY_HEAD: usize = 8;
/// The longest text whose lengths fit into an entry.
pub(crate) const LONGEST_TEXT: usize = (1 << 24) - 1;

/// An event of the Docker Engine.
///
/// Every field may be missing: engines leave fields out, and newer ones have others. Kinds and
/// actions that this crate does not know are kept as they are. A clone shares the text of the
/// event.
///
/// Events that were read together share memory, about 4 KiB, which is freed with the last of them. To
/// keep single events for long, keep [`detached`](Self::detached) ones.
///
/// It serializes, and deserializes from, the JSON that the engine sends.
///
/// # Examples
/// ```
/// use buslane_docker::{Action, DockerEvent, Kind};
/// let event: DockerEvent = serde_json::from_str(
///     r#"{"Type":"container","Action":"exec_start: sh -c true","Actor":{"ID":"4f2a",
///     "Attributes":{"image":"alpine","name":"web"}},"scope":"local","time":1700000000}"#,
/// )?;
/// assert_eq!((event.kind(), event.action()), (Kind::Container, Action::ExecStart));
/// assert_eq!(event.action_data(), Some("sh -c true"));
/// assert_eq!((event.id(), event.name(), event.image()), ("4f2a", Some("web"), Some("alpine")));
/// assert_eq!(event.to_string(), "container exec_start: sh -c true web (4f2a)");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct DockerEvent {
    /// The texts of this event and of others.
    block: Arc<str>,
    pub(crate) outline: Outline,
}

/// An event without its text.
#[derive(Clone, Copy)]
pub(crate) struct Outline {
    /// The text of the event in its block. The other parts are positions in that text.
    pub(crate) whole: Span,
    /// Nanoseconds since 1970, by the clock of the engine.
    pub(crate) time_nano: i64,
    pub(crate) kind: Span,
    pub(crate) action: Span,
    pub(crate) id: Span,
    /// The entries.
    pub(crate) attributes: Span,
    pub(crate) precision: Precision,
    pub(crate) scope: Option<Scope>,
}

/// A part of the text of an event.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) at: u32,
    pub(crate) end: u32,
}

/// What the engine sent of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    None,
    Seconds,
    Nanoseconds,
}

impl Outline {
    /// Returns the event whose text is in this block.
    #[inline]
    pub(crate) fn in_block(self, block: &Arc<str>) -> DockerEvent {
        DockerEvent { block: block.clone(), outline: self }
    }
}

impl Span {
    /// Both positions are those of a block or a text, which are far shorter than 4 GiB.
    #[inline]
    pub(crate) fn between(at: usize, end: usize) -> Self {
        Self { at: at as u32, end: end as u32 }
    }

    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.at as usize..self.end as usize).unwrap_or_default()
    }
}

impl DockerEvent {
    /// Returns all strings of the event.
    #[inline]
    pub(crate) fn text(&self) -> &str {
        self.outline.whole.of(&self.block)
    }

    #[cfg(test)]
    pub(crate) fn block(&self) -> &str {
        &self.block
    }

    /// Returns a copy of the event that shares no memory with other events.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::DockerEvent;
    /// let event: DockerEvent = serde_json::from_str(r#"{"Type":"volume","Action":"mount"}"#)?;
    /// assert_eq!(event.detached(), event);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn detached(&self) -> Self {
        let text = self.text();
        Outline { whole: Span::between(0, text.len()), ..self.outline }.in_block(&Arc::from(text))
    }

    /// Returns the kind of object that the event is about. It is `Other("")` if the engine did not
    /// send one.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::{DockerEvent, Kind};
    /// let event: DockerEvent = serde_json::from_str(r#"{"Type":"volume","Action":"mount"}"#)?;
    /// assert_eq!(event.kind(), Kind::Volume);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> Kind<'_> {
        Kind::from_name(self.outline.kind.of(self.text()))
    }

    /// Returns what happened, without the data that some actions have after `: `. It is `Other("")`
    /// if the engine did not send an action.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::{Action, DockerEvent};
    /// let event: DockerEvent = serde_json::from_str(r#"{"Action":"health_status: healthy"}"#)?;
    /// assert_eq!((event.action(), event.action_data()), (Action::HealthStatus, Some("healthy")));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn action(&self) -> Action<'_> {
        let whole = self.full_action();
        Action::from_name(whole.split_once(": ").map_or(whole, |(name, _)| name))
    }

    /// Returns the data that the action has after `: `, such as a command or a state of health.
    #[must_use]
    pub fn action_data(&self) -> Option<&str> {
        self.full_action().split_once(": ").map(|(_, data)| data)
    }

    /// Returns the action as the engine sent it, data included.
    #[must_use]
    pub fn full_action(&self) -> &str {
        self.outline.action.of(self.text())
    }

    /// Returns the identifier of the object: that of a container, the name of a volume or an image.
    /// It is empty if the engine did not send one.
    #[must_use]
    pub fn id(&self) -> &str {
        self.outline.id.of(self.text())
    }

    /// Returns the value of an attribute. The labels of a container are attributes, too.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::DockerEvent;
    /// let json = r#"{"Action":"die","Actor":{"Attributes":{"exitCode":"137","name":"web"}}}"#;
    /// let event: DockerEvent = serde_json::from_str(json)?;
    /// assert_eq!((event.attribute("exitCode"), event.attribute("signal")), (Some("137"), None));
    /// assert_eq!(event.exit_code(), Some(137));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Returns the attributes, in the order of the engine.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::DockerEvent;
    /// let event: DockerEvent = serde_json::from_str(r#"{"Actor":{"Attributes":{"a":"1","b":""}}}"#)?;
    /// assert!(event.attributes().eq([("a", "1"), ("b", "")]));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes(self.outline.attributes.of(self.text()))
    }

    /// Returns the name of a container, or another object that has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.attribute("name")
    }

    /// Returns the image of a container.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.attribute("image")
    }

    /// Returns the exit code of a container or a command that has ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.attribute("exitCode")?.parse().ok()
    }

    /// Returns where the event comes from, if the engine sent it.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        self.outline.scope
    }

    /// Returns the time of the event, by the clock of the engine.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::DockerEvent;
    /// use std::time::{Duration, SystemTime};
    /// let event: DockerEvent = serde_json::from_str(r#"{"Action":"tag","timeNano":1700000000000000001}"#)?;
    /// let since_1970 = event.time().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    /// assert_eq!(since_1970, Some(Duration::new(1_700_000_000, 1)));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        let nanos = self.time_nano()?;
        let distance = Duration::from_nanos(nanos.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        if nanos < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) }
    }

    /// Returns the time of the event in nanoseconds since 1970, by the clock of the engine.
    #[must_use]
    pub fn time_nano(&self) -> Option<i64> {
        (self.outline.precision != Precision::None).then_some(self.outline.time_nano)
    }

    /// Returns the memory that the event occupies, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.text().len() + size_of::<Self>()
    }
}

/// The attributes of an event; made by [`DockerEvent::attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let (key, value) = (decoded(self.0.get(..4)?), decoded(self.0.get(4..ENTRY_HEAD)?));
        let (at, end) = (ENTRY_HEAD + key, ENTRY_HEAD + key + value);
        let entry = (self.0.get(ENTRY_HEAD..at)?, self.0.get(at..end)?);
        self.0 = self.0.get(end..).unwrap_or_default();
        Some(entry)
    }
}

/// Writes a length into the head of an entry.
pub(crate) fn encode(length: usize, into: &mut [u8]) {
    for (place, digit) in into.iter_mut().enumerate() {
        // Six bits from `0` on are ASCII.
        *digit = b'0' + (length >> (6 * place) & 0x3f) as u8;
    }
}

fn decoded(digits: &str) -> usize {
    digits.bytes().rev().fold(0, |length, digit| length << 6 | usize::from(digit.wrapping_sub(b'0') & 0x3f))
}

impl PartialEq for DockerEvent {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts() && self.attributes().eq(other.attributes())
    }
}

impl Eq for DockerEvent {}

impl Hash for DockerEvent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
        for attribute in self.attributes() {
            attribute.hash(state);
        }
    }
}

impl DockerEvent {
    /// Returns all but the attributes.
    fn parts(&self) -> (&str, &str, &str, Option<Scope>, Option<i64>) {
        (
            self.outline.kind.of(self.text()),
            self.full_action(),
            self.id(),
            self.outline.scope,
            self.time_nano(),
        )
    }
}

impl fmt::Debug for DockerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerEvent")
            .field("kind", &self.kind())
            .field("action", &self.full_action())
            .field("id", &self.id())
            .field("attributes", &Entries(self))
            .field("scope", &self.outline.scope)
            .field("time_nano", &self.time_nano())
            .finish()
    }
}

struct Entries<'a>(&'a DockerEvent);

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.attributes()).finish()
    }
}

/// Writes the kind, the action, and the name and the identifier of the object.
impl fmt::Display for DockerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.full_action())?;
        match self.name().filter(|name| *name != self.id()) {
            Some(name) => write!(f, " {name} ({})", self.id()),
            None => write!(f, " {}", self.id()),
        }
    }
}

impl Serialize for DockerEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 6)?;
        event.serialize_field("Type", self.kind().as_str())?;
        event.serialize_field("Action", self.full_action())?;
        event.serialize_field("Actor", &Actor(self))?;
        match self.outline.scope {
            Some(scope) => event.serialize_field("scope", scope.as_str())?,
            None => event.skip_field("scope")?,
        }
        match self.time_nano() {
            Some(nanos) => event.serialize_field("time", &nanos.div_euclid(1_000_000_000))?,
            None => event.skip_field("time")?,
        }
        match self.outline.precision {
            Precision::Nanoseconds => event.serialize_field("timeNano", &self.outline.time_nano)?,
            Precision::None | Precision::Seconds => event.skip_field("timeNano")?,
        }
        event.end()
    }
}

struct Actor<'a>(&'a DockerEvent);

impl Serialize for Actor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut actor = serializer.serialize_struct("Actor", 2)?;
        actor.serialize_field("ID", self.0.id())?;
        actor.serialize_field("Attributes", &Entries(self.0))?;
        actor.end()
    }
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.attributes() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
