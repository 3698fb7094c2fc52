//! The record: what one event, or one step in the life of a span, looks like on a bus.

pub(crate) mod encoder;
pub(crate) mod spill;

use crate::clock::Timestamp;
use crate::fields::{Fields, Value};
use crate::order::Stamp;
use buslane::bus::InlineBytes;
use spill::Spill;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use tracing_core::{Level, Metadata};

/// The bytes that a [`Record`] holds inline by default. With them, a record takes 256 bytes.
pub const INLINE_BYTES: usize = 204;

/// What a [`Record`] reports.
///
/// # Examples
/// ```
/// use buslane_tracing::{Kind, Record};
/// fn is_event(record: &Record) -> bool {
///     record.kind() == Kind::Event
/// }
/// # let _ = is_event;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An event happened.
    // Not 0, so that the zeros around it in a new record are not written as one piece that overlaps
    // itself, which waits for its own stores.
    Event = 1,
    /// A span began. The fields are those that it began with.
    NewSpan,
    /// A span got more values. The fields are the new ones.
    SpanValues,
    /// A span was closed: its last handle is gone.
    SpanClosed,
}

/// An event or a step in the life of a span, with its typed fields inline.
///
/// A record is made on the thread that logs, without an allocation, and is cheap to move and to
/// clone. `N` is the number of inline bytes for the fields and the message. What does not fit is
/// stored on the heap, within the byte budget of the layer; above the budget it is cut
/// ([`is_truncated`](Self::is_truncated)).
///
/// The record of an event of the `log` facade has a target of its own, so read
/// [`target`](Self::target) and [`level`](Self::level) rather than [`metadata`](Self::metadata).
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane_tracing::{Record, Value};
/// use tracing_subscriber::prelude::*;
///
/// let bus: Bus<Record> = Bus::new();
/// let mut records = bus.subscribe_lossy(16)?;
/// let subscriber = tracing_subscriber::registry().with(buslane_tracing::layer(&bus).build());
/// tracing::subscriber::with_default(subscriber, || tracing::warn!(code = 504, "no answer"));
///
/// let record = records.recv()?;
/// assert_eq!((record.level(), record.message()), (&tracing::Level::WARN, "no answer"));
/// assert_eq!(record.value("code"), Some(Value::I64(504)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// The fields are in this order in memory, so that a short record needs the first cache lines only.
#[derive(Clone)]
#[repr(C)]
// Smaller pointers leave the last line unfilled.
#[cfg_attr(not(target_pointer_width = "64"), repr(align(64)))]
pub struct Record<const N: usize = INLINE_BYTES> {
    metadata: &'static Metadata<'static>,
    timestamp: Timestamp,
    /// The id of the span that this is about, or of the one around the event. 0 is none.
    span: u64,
    /// The parent of a new span. 0 is none.
    parent: u64,
    /// All encoded bytes, if they do not fit inline.
    spill: Option<Arc<Spill>>,
    thread: u32,
    /// The number of the record among those of its thread.
    sequence: u32,
    kind: Kind,
    is_truncated: bool,
    bytes: InlineBytes<N>,
}

// A slot that is no multiple of a cache line would share one with its neighbor.
const _: () = assert!(size_of::<Record>() == 256);

impl<const N: usize> Record<N> {
    /// The length is in 16 bits, and spilled records are larger than inline ones.
    const IS_VALID: () = assert!(N >= 16 && N <= 32 * 1024, "a record has 16 to 32768 inline bytes");

    /// Returns a record without fields, span, time and thread.
    // Constants and two arguments, so that it is compiled into its slot.
    #[inline(always)]
    pub(crate) fn new(kind: Kind, metadata: &'static Metadata<'static>) -> Self {
        let () = Self::IS_VALID;
        Self {
            metadata,
            timestamp: Timestamp::NONE,
            span: 0,
            parent: 0,
            spill: None,
            thread: 0,
            sequence: 0,
            kind,
            is_truncated: false,
            bytes: InlineBytes::new(),
        }
    }

    /// Returns what the order of the record depends on.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { key: self.timestamp.nanos(), thread: self.thread, sequence: self.sequence }
    }

    /// Sets the time, the number of the thread, and the number of the record on it.
    #[inline]
    pub(crate) fn set_stamp(&mut self, timestamp: Timestamp, (thread, sequence): (u32, u32)) {
        (self.timestamp, self.thread, self.sequence) = (timestamp, thread, sequence);
    }

    #[inline]
    pub(crate) fn set_span(&mut self, span: u64) {
        self.span = span;
    }

    pub(crate) fn set_parent(&mut self, parent: u64) {
        self.parent = parent;
    }

    /// Returns the description of the callsite: name, target, level, file and line.
    #[must_use]
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.metadata
    }

    /// Returns the level.
    #[must_use]
    pub fn level(&self) -> &'static Level {
        self.metadata.level()
    }

    /// Returns the target. For an event of the `log` facade it is the target of that event.
    #[must_use]
    pub fn target(&self) -> &str {
        match self.of_log(LOG_TARGET) {
            Some(Value::Str(target)) => target,
            _ => self.metadata.target(),
        }
    }

    /// Returns the source file, if it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self.of_log(LOG_FILE) {
            Some(Value::Str(file)) => Some(file),
            _ if self.is_log() => None,
            _ => self.metadata.file(),
        }
    }

    /// Returns the line in the source file, if it is known.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        match self.of_log(LOG_LINE) {
            Some(Value::U64(line)) => u32::try_from(line).ok(),
            _ if self.is_log() => None,
            _ => self.metadata.line(),
        }
    }

    /// Returns the time of the event, as the clock of the layer gave it.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Returns the number of the thread. Threads are numbered from 1 in the order of their first
    /// records.
    #[must_use]
    pub fn thread(&self) -> u32 {
        self.thread
    }

    /// Returns what the record reports.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the id of the span that the record is about; for an event, of the span around it.
    ///
    /// An id is unique among the open spans of the process. The registry uses it again after the
    /// span was closed.
    #[must_use]
    pub fn span(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.span)
    }

    /// Returns the id of the parent of a new span.
    #[must_use]
    pub fn parent(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.parent)
    }

    /// Returns the message, or the empty text.
    #[must_use]
    pub fn message(&self) -> &str {
        match self.value("message") {
            Some(Value::Str(text) | Value::Debug(text) | Value::Error(text)) => text,
            _ => "",
        }
    }

    /// Returns the fields in the order in which they were recorded, with the message.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(self.metadata, self.encoded())
    }

    /// Returns the value of the first field of this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value<'_>> {
        self.fields().find(|field| field.name() == name).map(|field| field.value())
    }

    /// Returns whether a value was cut or left out because the record was full.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Returns whether this is an event of the `log` facade, from this crate or from tracing-log.
    pub(crate) fn is_log(&self) -> bool {
        is_log(self.metadata)
    }

    fn of_log(&self, name: &str) -> Option<Value<'_>> {
        if self.is_log() { self.value(name) } else { None }
    }

    fn encoded(&self) -> &[u8] {
        match &self.spill {
            Some(spill) => spill.bytes(),
            None => &self.bytes,
        }
    }
}

impl<const N: usize> fmt::Debug for Record<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Listed<'a>(Fields<'a>);
        impl fmt::Debug for Listed<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map().entries(self.0.clone().map(|field| (field.name(), field.value()))).finish()
            }
        }
        f.debug_struct("Record")
            .field("kind", &self.kind)
            .field("timestamp", &self.timestamp)
            .field("level", self.level())
            .field("target", &self.target())
            .field("name", &self.metadata.name())
            .field("thread", &self.thread)
            .field("span", &self.span())
            .field("fields", &Listed(self.fields()))
            .field("is_truncated", &self.is_truncated)
            .finish_non_exhaustive()
    }
}

/// The target of every callsite that stands for the `log` facade.
const LOG_CALLSITE: &str = "log";
pub(crate) const LOG_TARGET: &str = "log.target";
pub(crate) const LOG_FILE: &str = "log.file";
pub(crate) const LOG_LINE: &str = "log.line";

/// Returns whether the callsite stands for the `log` facade: its target and place are in fields.
/// tracing-log uses the same names.
pub(crate) fn is_log(metadata: &Metadata<'_>) -> bool {
    // The last comparison is for a module that is named `log`.
    metadata.target() == LOG_CALLSITE && metadata.fields().field(LOG_TARGET).is_some()
}
