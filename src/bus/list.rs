//! The copy-on-write list of a bus's sinks, in chunks that lists share.
//!
//! A change copies one chunk and the references to the chunks, not the whole list. Copying `n`
//! entries for each of `n` adds would update `n * n` reference counts.
//!
//! # Invariants
//! - No chunk is empty.
//! - Ids increase from entry to entry, also from one chunk to the next and to the newest entries.

use super::entry::SinkEntry;
// The reference count of a chunk shows when a reader has released the entries in it, also in
// models.
use crate::stats::SinkId;
use crate::sync::Arc;

/// The maximum number of entries in one chunk.
const CHUNK: usize = 64;

pub(super) struct List<E: Send + 'static> {
    chunks: Vec<Arc<Vec<SinkEntry<E>>>>,
    /// The number of entries in the chunks.
    in_chunks: usize,
    /// The newest entries, fewer than a chunk. Most lists have no others.
    newest: Vec<SinkEntry<E>>,
}

impl<E: Send + 'static> Default for List<E> {
    fn default() -> Self {
        Self { chunks: Vec::new(), in_chunks: 0, newest: Vec::new() }
    }
}

impl<E: Send + 'static> Clone for List<E> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), in_chunks: self.in_chunks, newest: self.newest.clone() }
    }
}

impl<E: Send + 'static> List<E> {
    /// Returns the number of entries.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.in_chunks + self.newest.len()
    }

    /// Returns all entries but the newest, in chunks. Most lists have none.
    #[inline]
    pub(super) fn older(&self) -> &[Arc<Vec<SinkEntry<E>>>] {
        &self.chunks
    }

    /// Returns the newest entries.
    #[inline]
    pub(super) fn newest(&self) -> &[SinkEntry<E>] {
        &self.newest
    }

    /// Returns the only entry, if there is exactly one.
    #[inline(always)]
    pub(super) fn only(&self) -> Option<&SinkEntry<E>> {
        match &self.newest[..] {
            [only] if self.chunks.is_empty() => Some(only),
            _ => None,
        }
    }

    /// Returns the entries in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SinkEntry<E>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).chain(&self.newest)
    }

    /// Returns the newest entry.
    pub(super) fn last(&self) -> Option<&SinkEntry<E>> {
        self.newest.last().or_else(|| self.chunks.last()?.last())
    }

    /// Returns the entries that are newer than the entry with this id.
    pub(super) fn after(&self, id: SinkId) -> impl Iterator<Item = &SinkEntry<E>> {
        let from = self.chunks.partition_point(|chunk| chunk.last().is_none_or(|last| last.info.id <= id));
        let chunks = self.chunks[from..].iter().flat_map(|chunk| chunk.iter());
        chunks.chain(&self.newest).skip_while(move |entry| entry.info.id <= id)
    }

    /// Returns the entry with this id.
    pub(super) fn get(&self, id: SinkId) -> Option<&SinkEntry<E>> {
        let at = self.chunks.partition_point(|chunk| chunk.last().is_none_or(|last| last.info.id < id));
        let chunk = self.chunks.get(at).map_or(&self.newest[..], |chunk| chunk);
        Some(&chunk[chunk.binary_search_by_key(&id, |entry| entry.info.id).ok()?])
    }

    /// Adds an entry, which becomes the newest.
    pub(super) fn push(&mut self, entry: SinkEntry<E>) {
        debug_assert!(self.last().is_none_or(|last| last.info.id < entry.info.id));
        self.newest.push(entry);
        if self.newest.len() == CHUNK {
            self.in_chunks += CHUNK;
            self.chunks.push(Arc::new(std::mem::take(&mut self.newest)));
        }
    }

    /// Removes an entry from the list.
    pub(super) fn remove(&mut self, id: SinkId) -> Option<SinkEntry<E>> {
        if let Ok(place) = self.newest.binary_search_by_key(&id, |entry| entry.info.id) {
            return Some(self.newest.remove(place));
        }
        let at = self.chunks.partition_point(|chunk| chunk.last().is_none_or(|last| last.info.id < id));
        let chunk = self.chunks.get(at)?;
        let place = chunk.binary_search_by_key(&id, |entry| entry.info.id).ok()?;
        let removed = chunk[place].clone();
        self.in_chunks -= 1;
        // The chunk is merged with the next one if both are small, so that a list that has shrunk
        // has few chunks.
        let next = self.chunks.get(at + 1).filter(|next| next.len() + chunk.len() <= CHUNK / 2);
        let rest = chunk.iter().filter(|entry| entry.info.id != id);
        let rest: Vec<_> = rest.chain(next.into_iter().flat_map(|next| next.iter())).cloned().collect();
        let end = if next.is_some() { at + 2 } else { at + 1 };
        self.chunks.splice(at..end, (!rest.is_empty()).then(|| Arc::new(rest)));
        Some(removed)
    }
}
