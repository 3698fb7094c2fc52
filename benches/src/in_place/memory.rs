//! The memory that a request uses between two events.

/// The size of a cache line, in words.
const LINE: usize = 8;

/// Memory of a request: it pushes the publisher's data out of the nearest caches.
#[derive(Debug)]
pub(super) struct Memory(Vec<u64>);

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        let mut memory = Self(vec![1; bytes / size_of::<u64>()]);
        memory.touch();
        memory
    }

    /// Reads and writes one word of every cache line.
    #[inline(never)]
    pub(super) fn touch(&mut self) {
        for word in self.0.iter_mut().step_by(LINE) {
            *word = word.wrapping_mul(31).wrapping_add(7);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE, Memory};

    #[test]
    fn touch_changes_every_line() {
        let mut memory = Memory::new(4096);
        let before = memory.0.clone();
        memory.touch();
        let changed = memory.0.iter().zip(&before).filter(|(now, before)| now != before).count();
        assert_eq!(changed, 4096 / (LINE * size_of::<u64>()));
    }
}
