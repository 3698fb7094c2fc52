//! The copy-on-write list of a bus's sinks, in pieces that lists share.
//!
//! A change copies one chunk and the chunks' references, not the whole list: to copy `n` entries for each of `n` adds would be
//! `n * n` reference counts.
//!
//! # Invariant
//! - No chunk is empty, and ids grow from entry to entry, also from one chunk to the next.

use super::entry::{Entry, SinkId};
// In a model, too, the count of a chunk says when a reader has let go of the entries in it.
use crate::sync::Arc;

/// The most entries of one chunk.
const CHUNK: usize = 64;

pub(super) struct List<E: Send + 'static> {
    chunks: Vec<Arc<Vec<Entry<E>>>>,
    length: usize,
}

impl<E: Send + 'static> Default for List<E> {
    fn default() -> Self {
        Self { chunks: Vec::new(), length: 0 }
    }
}

impl<E: Send + 'static> Clone for List<E> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), length: self.length }
    }
}

impl<E: Send + 'static> List<E> {
    /// How many entries there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The entries, piece by piece.
    #[inline]
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[Entry<E>]> {
        self.chunks.iter().map(|chunk| chunk.as_slice())
    }

    /// The entries in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<E>> {
        self.chunks().flatten()
    }

    /// The newest entry.
    pub(super) fn last(&self) -> Option<&Entry<E>> {
        self.chunks.last()?.last()
    }

    /// The entries that are newer than this one.
    pub(super) fn after(&self, id: SinkId) -> impl Iterator<Item = &Entry<E>> {
        let from = self.chunks.partition_point(|chunk| chunk.last().is_none_or(|last| last.info.id <= id));
        self.chunks[from..].iter().flat_map(|chunk| chunk.iter()).skip_while(move |entry| entry.info.id <= id)
    }

    /// The entry with this id.
    pub(super) fn get(&self, id: SinkId) -> Option<&Entry<E>> {
        let at = self.chunks.partition_point(|chunk| chunk.last().is_none_or(|last| last.info.id < id));
        let chunk = self.chunks.get(at)?;
        Some(&chunk[chunk.binary_search_by_key(&id, |entry| entry.info.id).ok()?])
    }

    /// Adds the newest entry.
    pub(super) fn push(&mut self, entry: Entry<E>) {
        debug_assert!(self.last().is_none_or(|last| last.info.id < entry.info.id));
        self.length += 1;
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => {
                let mut chunk = Vec::with_capacity(last.len() + 1);
                chunk.extend(last.iter().cloned());
                chunk.push(entry);
                *last = Arc::new(chunk);
            }
            _ => self.chunks.push(Arc::new(vec![entry])),
        }
    }

    /// Takes an entry off the list.
    pub(super) fn remove(&mut self, id: SinkId) -> Option<Entry<E>> {
        let at = self.chunks.partition_point(|chunk| chunk.last().is_none_or(|last| last.info.id < id));
        let chunk = self.chunks.get(at)?;
        let place = chunk.binary_search_by_key(&id, |entry| entry.info.id).ok()?;
        let removed = chunk[place].clone();
        self.length -= 1;
        // Together with the next one where both are small: a list that has shrunk has few chunks.
        let next = self.chunks.get(at + 1).filter(|next| next.len() + chunk.len() <= CHUNK / 2);
        let rest = chunk.iter().filter(|entry| entry.info.id != id);
        let rest: Vec<_> = rest.chain(next.into_iter().flat_map(|next| next.iter())).cloned().collect();
        let end = if next.is_some() { at + 2 } else { at + 1 };
        self.chunks.splice(at..end, (!rest.is_empty()).then(|| Arc::new(rest)));
        Some(removed)
    }
}
