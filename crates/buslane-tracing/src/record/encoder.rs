//! Writing values into a record, on the thread that logs.

use super::Record;
use super::spill::{Budget, Spill};
use crate::fields::tag;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use tracing_core::field::{Field, Visit};

/// The most sources of an error that are written. It ends chains that are circles.
const SOURCES: usize = 16;
/// The bytes before a text: index, tag and length.
const HEADER: usize = 4;

/// Writes values into a record: inline, and to the heap when they do not fit.
pub(crate) struct Encoder<'a, const N: usize> {
    record: &'a mut Record<N>,
    spill: Option<Spill>,
    budget: &'a Arc<Budget>,
}

impl<'a, const N: usize> Encoder<'a, N> {
    #[inline]
    pub(crate) fn new(record: &'a mut Record<N>, budget: &'a Arc<Budget>) -> Self {
        Self { record, spill: None, budget }
    }

    /// Ends the record. Without this call, what is on the heap is lost.
    #[inline]
    pub(crate) fn finish(self) {
        if self.record.is_truncated {
            self.budget.count_truncated();
        }
        if let Some(spill) = self.spill {
            self.record.bytes.clear();
            self.record.spill = Some(Arc::new(spill));
        }
    }

    /// Writes a value of fixed size, or leaves it out when there is no room for all of it.
    #[inline]
    pub(crate) fn number<const M: usize>(&mut self, index: usize, tag: u8, value: [u8; M]) {
        let Ok(index) = u8::try_from(index) else { return self.leave_out() };
        let bytes = &mut self.record.bytes;
        if self.spill.is_none() && 2 + M <= bytes.room() {
            // Straight from registers. A load of what was just stored in two pieces, to move it as one,
            // would wait until the stores have left the processor's store buffer.
            bytes.append(&[index, tag]);
            bytes.append(&value);
        } else {
            self.number_on_heap(index, tag, value);
        }
    }

    #[cold]
    fn number_on_heap<const M: usize>(&mut self, index: u8, tag: u8, value: [u8; M]) {
        if self.room(2 + M) == 2 + M {
            self.append(&[index, tag]);
            self.append(&value);
        } else {
            self.leave_out();
        }
    }

    /// Writes a text of known length, cut at its end if necessary.
    #[inline]
    pub(crate) fn text(&mut self, index: usize, tag: u8, text: &str) {
        let bytes = &mut self.record.bytes;
        if let Ok(index) = u8::try_from(index)
            && self.spill.is_none()
            && text.len() + HEADER <= bytes.room()
        {
            // A record is not longer than 16 bits can say.
            let [low, high] = (text.len() as u16).to_le_bytes();
            bytes.append(&[index, tag, low, high]);
            bytes.append(text.as_bytes());
        } else {
            self.text_in_pieces(index, tag, text);
        }
    }

    #[cold]
    fn text_in_pieces(&mut self, index: usize, tag: u8, text: &str) {
        self.formatted(index, tag, |into| into.write_str(text));
    }

    /// Writes what the arguments display, cut at its end if necessary.
    #[cfg(feature = "log")]
    #[inline]
    pub(crate) fn display(&mut self, index: usize, arguments: fmt::Arguments<'_>) {
        match arguments.as_str() {
            Some(text) => self.text(index, tag::DEBUG, text),
            None => self.formatted(index, tag::DEBUG, |into| into.write_fmt(arguments)),
        }
    }

    /// Writes what `write` writes, cut at its end if necessary.
    #[inline]
    fn formatted(&mut self, index: usize, tag: u8, write: impl FnOnce(&mut Text<'_, 'a, N>) -> fmt::Result) {
        let Ok(index) = u8::try_from(index) else { return self.leave_out() };
        if self.room(HEADER) < HEADER {
            return self.leave_out();
        }
        let at = self.len();
        self.append(&[index, tag, 0, 0]);
        let mut text = Text { encoder: self, is_full: false };
        // The text before the error of a `Debug` implementation is worth more than none.
        let _ = write(&mut text);
        let len = self.len() - at - HEADER;
        // A record is not longer than 16 bits can say.
        self.patch(at + 2, (len as u16).to_le_bytes());
    }

    fn bytes(&mut self, index: usize, value: &[u8]) {
        let Ok(index) = u8::try_from(index) else { return self.leave_out() };
        let room = self.room(HEADER + value.len());
        if room < HEADER {
            return self.leave_out();
        }
        let kept = value.get(..room - HEADER).unwrap_or(value);
        self.record.is_truncated |= kept.len() < value.len();
        let [low, high] = (kept.len() as u16).to_le_bytes();
        self.append(&[index, tag::BYTES, low, high]);
        self.append(kept);
    }

    fn len(&self) -> usize {
        match &self.spill {
            Some(spill) => spill.bytes().len(),
            None => self.record.bytes.len(),
        }
    }

    /// Returns for how many of `wanted` bytes there is room; moves the record to the heap if needed.
    #[inline]
    fn room(&mut self, wanted: usize) -> usize {
        let left = self.record.bytes.room();
        if self.spill.is_none() && wanted <= left { wanted } else { self.heap_room(wanted) }
    }

    #[cold]
    fn heap_room(&mut self, wanted: usize) -> usize {
        if let Some(spill) = &mut self.spill {
            return spill.room(wanted);
        }
        let left = self.record.bytes.room();
        self.spill = Spill::begin(&self.record.bytes, wanted, self.budget);
        match &mut self.spill {
            Some(spill) => spill.room(wanted),
            None => wanted.min(left),
        }
    }

    /// Appends bytes for which there is room.
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        if let Some(spill) = &mut self.spill {
            return spill.bytes_mut().extend_from_slice(bytes);
        }
        let fits = self.record.bytes.append(bytes);
        debug_assert!(fits, "there is room");
    }

    #[inline]
    fn patch(&mut self, at: usize, value: [u8; 2]) {
        let bytes = match &mut self.spill {
            Some(spill) => spill.bytes_mut().as_mut_slice(),
            None => &mut self.record.bytes,
        };
        if let Some(into) = bytes.get_mut(at..at + 2) {
            into.copy_from_slice(&value);
        }
    }

    #[cold]
    fn leave_out(&mut self) {
        self.record.is_truncated = true;
    }
}

/// A text in a record, while it is written.
struct Text<'e, 'a, const N: usize> {
    encoder: &'e mut Encoder<'a, N>,
    /// Whether the text was cut. What follows the cut is left out, although it might fit.
    is_full: bool,
}

impl<const N: usize> fmt::Write for Text<'_, '_, N> {
    /// Never fails, so that a `Debug` implementation that takes an error for impossible does not
    /// panic.
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Encoder { record, spill, .. } = &mut *self.encoder;
        let is_done = self.is_full || spill.is_none() && record.bytes.append(text.as_bytes());
        if !is_done {
            self.write_on_heap(text);
        }
        Ok(())
    }
}

impl<const N: usize> Text<'_, '_, N> {
    #[cold]
    fn write_on_heap(&mut self, text: &str) {
        let room = self.encoder.room(text.len());
        if room >= text.len() {
            self.encoder.append(text.as_bytes());
        } else {
            self.cut(text, room);
        }
    }

    /// Writes the characters that fit into `room` bytes.
    #[cold]
    fn cut(&mut self, text: &str, room: usize) {
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.encoder.append(text.as_bytes().get(..end).unwrap_or_default());
        self.is_full = true;
        self.encoder.leave_out();
    }
}

impl<const N: usize> Visit for Encoder<'_, N> {
    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field.index(), tag::I64, value.to_le_bytes());
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.index(), tag::U64, value.to_le_bytes());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.number(field.index(), tag::I128, value.to_le_bytes());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.number(field.index(), tag::U128, value.to_le_bytes());
    }

    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field.index(), tag::F64, value.to_le_bytes());
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field.index(), tag::BOOL, [u8::from(value)]);
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.index(), tag::STR, value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.bytes(field.index(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.formatted(field.index(), tag::ERROR, |text| {
            write!(text, "{value}")?;
            let sources = std::iter::successors(value.source(), |error: &&dyn Error| (*error).source());
            sources.take(SOURCES).try_for_each(|source| write!(text, ": {source}"))
        });
    }

    #[inline]
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.formatted(field.index(), tag::DEBUG, |text| write!(text, "{value:?}"));
    }
}
