//! The spans that a worker knows, joined with the events in them.
//!
//! The records of spans come through lanes that may lose some of them. So every record may be
//! missing here:
//!
//! - A span whose begin was lost is unknown: its events are shown with a `?` in its place.
//! - A span whose close was lost stays until it is the longest unused one of too many, or too old. The
//!   texts of all spans have a limit in bytes, too.
//! - Events of another thread may arrive after the close of their span, so the last closed spans are
//!   kept for a while.

use crate::clock::Timestamp;
use crate::fields::Value;
use crate::record::{Kind, Record};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tracing_core::Metadata;

/// The most spans that are known at the same time.
const MOST_SPANS: usize = 16 * 1024;
/// The bytes of the texts of all spans together.
const MOST_BYTES: usize = 16 << 20;
/// The number of closed spans that are still known.
const MOST_CLOSED: usize = 1024;
/// How long an open span is known after it was last seen.
const LONGEST_SILENCE: Duration = Duration::from_secs(24 * 3600);
/// The deepest nesting that is shown. It ends circles, which lost records might make.
const DEEPEST: usize = 64;

/// The spans that a worker knows.
#[derive(Debug, Default)]
pub(crate) struct SpanTable {
    spans: HashMap<u64, Span>,
    /// The closed spans among them, in the order of their closes, with the use at which each began.
    closed: VecDeque<(u64, u64)>,
    /// The bytes of the texts of all spans.
    bytes: usize,
    /// The number of uses of any span.
    uses: u64,
    /// The time from which silent spans are looked for.
    sweep_at: Timestamp,
    /// The path to the span of the event at hand, from the innermost one.
    path: Vec<u64>,
}

#[derive(Debug)]
struct Span {
    metadata: &'static Metadata<'static>,
    parent: u64,
    /// The values as text, with the indices of their fields.
    fields: Vec<(usize, String)>,
    /// The uses at which the span began and was last seen.
    began: u64,
    used: u64,
    began_at: Timestamp,
    seen_at: Timestamp,
    is_closed: bool,
}

impl Span {
    /// Returns the bytes of its texts.
    fn bytes(&self) -> usize {
        self.fields.iter().map(|(_, text)| text.capacity()).sum()
    }

    /// Sets the values in the record, of which later ones replace earlier ones.
    fn set<const N: usize>(&mut self, record: &Record<N>, render: &impl Fn(Value<'_>, &mut String)) {
        for field in record.fields() {
            let position = self.fields.iter().position(|(index, _)| *index == field.index());
            let text = match position.and_then(|position| self.fields.get_mut(position)) {
                Some((_, text)) => text,
                None => {
                    self.fields.push((field.index(), String::new()));
                    let Some((_, text)) = self.fields.last_mut() else { return };
                    text
                }
            };
            text.clear();
            render(field.value(), text);
            // A long value that a short one replaced would keep its memory.
            text.shrink_to(2 * text.len());
        }
    }
}

impl SpanTable {
    /// Takes the record of a step in the life of a span. `render` makes a value into text.
    pub(crate) fn apply<const N: usize>(
        &mut self,
        record: &Record<N>,
        render: &impl Fn(Value<'_>, &mut String),
    ) {
        let Some(id) = record.span() else { return };
        let (id, time) = (id.get(), record.timestamp());
        self.uses += 1;
        match record.kind() {
            Kind::NewSpan => {
                let mut span = Span {
                    metadata: record.metadata(),
                    parent: record.parent().map_or(0, u64::from),
                    fields: Vec::new(),
                    began: self.uses,
                    used: self.uses,
                    began_at: time,
                    seen_at: time,
                    is_closed: false,
                };
                span.set(record, render);
                self.bytes += span.bytes();
                if let Some(old) = self.spans.insert(id, span) {
                    self.bytes -= old.bytes();
                }
                self.forget_silent(time);
                self.forget_unused();
            }
            Kind::SpanValues => {
                if let Some(span) = self.spans.get_mut(&id) {
                    let before = span.bytes();
                    span.set(record, render);
                    (span.used, span.seen_at) = (self.uses, time);
                    self.bytes = self.bytes - before + span.bytes();
                    self.forget_unused();
                }
            }
            Kind::SpanClosed => self.close(id, time),
            Kind::Event => {}
        }
    }

    fn close(&mut self, id: u64, time: Timestamp) {
        match self.spans.get_mut(&id) {
            // A registry uses an id again: then the close may be that of an earlier span.
            Some(span) if !span.is_closed && span.began_at <= time => {
                span.is_closed = true;
                self.closed.push_back((id, span.began));
            }
            _ => return,
        }
        while self.closed.len() > MOST_CLOSED {
            let Some((id, began)) = self.closed.pop_front() else { return };
            if self.spans.get(&id).is_some_and(|span| span.began == began)
                && let Some(span) = self.spans.remove(&id)
            {
                self.bytes -= span.bytes();
            }
        }
    }

    /// Returns the spans around an event in the span `innermost`, which is 0 for none.
    pub(crate) fn scope(&mut self, innermost: u64, time: Timestamp) -> Scope<'_> {
        self.path.clear();
        self.uses += 1;
        let mut id = innermost;
        while id != 0 && self.path.len() < DEEPEST {
            self.path.push(id);
            id = match self.spans.get_mut(&id) {
                Some(span) => {
                    (span.used, span.seen_at) = (self.uses, time);
                    span.parent
                }
                None => 0,
            };
        }
        Scope { table: self }
    }

    /// Removes the spans that were not seen for long. Their closes are lost, or will never come.
    fn forget_silent(&mut self, now: Timestamp) {
        if now < self.sweep_at {
            return;
        }
        let silence = u64::try_from(LONGEST_SILENCE.as_nanos()).unwrap_or(u64::MAX);
        self.sweep_at = Timestamp::from_nanos(now.nanos().saturating_add(silence / 8));
        self.retain(|span| now.nanos().saturating_sub(span.seen_at.nanos()) <= silence);
    }

    /// Removes the longest unused spans, if there are too many or their texts are too long: a quarter of
    /// what is allowed is free then.
    fn forget_unused(&mut self) {
        if self.spans.len() <= MOST_SPANS && self.bytes <= MOST_BYTES {
            return;
        }
        let mut uses: Vec<_> = self.spans.values().map(|span| (span.used, span.bytes())).collect();
        uses.sort_unstable();
        let (mut spans, mut bytes, mut limit) = (uses.len(), self.bytes, 0);
        for (used, of_span) in uses {
            if spans <= MOST_SPANS / 4 * 3 && bytes <= MOST_BYTES / 4 * 3 {
                break;
            }
            (spans, bytes, limit) = (spans - 1, bytes - of_span, used);
        }
        self.retain(|span| span.used > limit);
    }

    /// Keeps the spans for which `keep` returns `true`.
    fn retain(&mut self, keep: impl Fn(&Span) -> bool) {
        self.spans.retain(|_, span| keep(span));
        self.bytes = self.spans.values().map(Span::bytes).sum();
        self.closed.retain(|(id, began)| self.spans.get(id).is_some_and(|span| span.began == *began));
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.spans.len()
    }
}

/// The spans around one event, as a format sees them.
#[derive(Debug)]
pub struct Scope<'a> {
    table: &'a SpanTable,
}

impl<'a> Scope<'a> {
    /// Returns the spans from the outermost to the innermost one.
    pub(crate) fn outermost_first(&self) -> impl DoubleEndedIterator<Item = Around<'a>> + 'a {
        let table = self.table;
        table.path.iter().rev().map(|id| Around(table.spans.get(id)))
    }
}

/// One span around an event; it may be unknown.
pub(crate) struct Around<'a>(Option<&'a Span>);

impl<'a> Around<'a> {
    pub(crate) fn name(&self) -> &'static str {
        self.0.map_or("?", |span| span.metadata.name())
    }

    /// Returns the names and the texts of the values.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, &'a str)> + 'a {
        self.0.into_iter().flat_map(|span| {
            span.fields.iter().filter_map(|(index, text)| {
                let name = span.metadata.fields().iter().nth(*index)?.name();
                Some((name, text.as_str()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, LONGEST_SILENCE, MOST_BYTES, MOST_CLOSED, MOST_SPANS, SpanTable};
    use crate::clock::Timestamp;
    use crate::fields::{Value, tag};
    use crate::record::encoder::Encoder;
    use crate::record::spill::Budget;
    use crate::record::{Kind, Record};
    use std::fmt::Write;
    use std::sync::Arc;
    use tracing_core::callsite::Callsite;
    use tracing_core::subscriber::Interest;
    use tracing_core::{Level, Metadata, metadata};

    struct Here;
    static HERE: Here = Here;
    static METADATA: Metadata<'static> = metadata! {
        name: "span",
        target: "tests",
        level: Level::INFO,
        fields: &["n"],
        callsite: &HERE,
        kind: tracing_core::Kind::SPAN,
    };
    impl Callsite for Here {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            &METADATA
        }
    }

    fn step(kind: Kind, nanos: u64, span: u64, parent: u64) -> Record {
        let mut record = Record::new(kind, &METADATA);
        record.set_span(span);
        record.set_stamp(Timestamp::from_nanos(nanos), (1, 1));
        record.set_parent(parent);
        record
    }

    /// Returns a record with a value, which the test renders as it likes.
    fn with_value(kind: Kind, span: u64) -> Record {
        let mut record = step(kind, 1, span, 0);
        let budget = Arc::new(Budget::new(0));
        let mut encoder = Encoder::new(&mut record, &budget);
        encoder.number(0, tag::U64, 1_u64.to_le_bytes());
        encoder.finish();
        record
    }

    fn render(value: Value<'_>, text: &mut String) {
        let _ = write!(text, "{value}");
    }

    fn names(table: &mut SpanTable, innermost: u64) -> Vec<&'static str> {
        table.scope(innermost, Timestamp::from_nanos(1)).outermost_first().map(|span| span.name()).collect()
    }

    #[test]
    fn lost_begin_is_shown_as_unknown() {
        let mut table = SpanTable::default();
        table.apply(&step(Kind::NewSpan, 1, 7, 5), &render);
        assert_eq!(names(&mut table, 7), ["?", "span"]);
        assert_eq!(names(&mut table, 9), ["?"]);
        assert!(names(&mut table, 0).is_empty());
    }

    #[test]
    fn lost_closes_leave_a_bounded_table() {
        let mut table = SpanTable::default();
        (1..=3 * MOST_SPANS as u64).for_each(|id| table.apply(&step(Kind::NewSpan, 1, id, 0), &render));
        assert!(table.len() <= MOST_SPANS, "{}", table.len());
        assert_eq!(names(&mut table, 3 * MOST_SPANS as u64), ["span"]);
    }

    #[test]
    fn texts_of_spans_take_bounded_memory() {
        const LONG: usize = 60_000;
        fn long(_: Value<'_>, text: &mut String) {
            text.push_str(&"x".repeat(LONG));
        }
        fn short(_: Value<'_>, text: &mut String) {
            text.push_str("short");
        }
        let mut table = SpanTable::default();
        for id in 1..=2000 {
            // A value that comes later counts as well.
            table.apply(&with_value(Kind::NewSpan, id), &short);
            table.apply(&with_value(Kind::SpanValues, id), &long);
            let bytes: usize = table.spans.values().map(|span| span.bytes()).sum();
            assert!(table.bytes == bytes && bytes <= MOST_BYTES, "{bytes}, counted as {}", table.bytes);
        }
        assert!((MOST_BYTES / 2 / LONG..1000).contains(&table.len()), "{}", table.len());
        assert_eq!((names(&mut table, 1), names(&mut table, 2000)), (vec!["?"], vec!["span"]));
        // A short value that replaces a long one gives its memory back.
        table.apply(&with_value(Kind::SpanValues, 2000), &short);
        assert!(table.spans[&2000].bytes() < 100);
    }

    #[test]
    fn closed_spans_are_known_for_a_while() {
        let mut table = SpanTable::default();
        for id in 1..=2 * MOST_CLOSED as u64 {
            table.apply(&step(Kind::NewSpan, 1, id, 0), &render);
            table.apply(&step(Kind::SpanClosed, 1, id, 0), &render);
        }
        assert_eq!(table.len(), MOST_CLOSED);
        assert_eq!(names(&mut table, 1), ["?"]);
        assert_eq!(names(&mut table, 2 * MOST_CLOSED as u64), ["span"]);
    }

    #[test]
    fn silent_spans_are_forgotten() {
        let mut table = SpanTable::default();
        table.apply(&step(Kind::NewSpan, 1, 1, 0), &render);
        let day = LONGEST_SILENCE.as_nanos() as u64;
        table.apply(&step(Kind::NewSpan, 2 * day, 2, 0), &render);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn late_close_of_a_reused_id_is_ignored() {
        let mut table = SpanTable::default();
        table.apply(&step(Kind::NewSpan, 10, 1, 0), &render);
        table.apply(&step(Kind::SpanClosed, 5, 1, 0), &render);
        table.apply(&step(Kind::SpanClosed, 20, 1, 0), &render);
        table.apply(&step(Kind::SpanClosed, 21, 1, 0), &render);
        assert_eq!((table.len(), table.closed.len()), (1, 1));
    }

    #[test]
    fn circle_of_parents_ends() {
        let mut table = SpanTable::default();
        table.apply(&step(Kind::NewSpan, 1, 1, 2), &render);
        table.apply(&step(Kind::NewSpan, 1, 2, 1), &render);
        assert_eq!(names(&mut table, 1).len(), DEEPEST);
    }
}
