//! Bytes that an event holds itself, of which only the used ones are ever written.
#![expect(unsafe_code, reason = "only the first bytes are initialized")]

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::{ptr, slice};

/// Up to `N` bytes inside an event, for a text or encoded values.
///
/// A new one writes nothing but its length, and bytes that are never appended are never written. So an
/// event that is completed in its slot
/// ([`Publisher::publish_in_place`](crate::Publisher::publish_in_place)) touches only the cache lines
/// that it uses, whatever `N` is. A clone copies the used bytes only.
///
/// The length takes two bytes before the others, so `N` is at most 65535; a larger one does not
/// compile.
///
/// # Examples
/// ```
/// use buslane::bus::InlineBytes;
/// let mut text = InlineBytes::<8>::new();
/// assert!(text.append(b"event"));
/// assert!(!text.append(b"loop"), "there is room for three bytes");
/// assert_eq!((&*text, text.room()), (&b"event"[..], 3));
/// ```
///
/// # Invariant
/// - B1: the first `len` bytes are initialized, and `len` is at most `N`.
#[repr(C)]
pub struct InlineBytes<const N: usize> {
    len: u16,
    bytes: [MaybeUninit<u8>; N],
}

impl<const N: usize> InlineBytes<N> {
    const FITS: () = assert!(N <= u16::MAX as usize, "the length is a number of 16 bits");

    /// Returns no bytes.
    #[inline(always)]
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::FITS;
        Self { len: 0, bytes: [const { MaybeUninit::uninit() }; N] }
    }

    /// Returns for how many more bytes there is room.
    #[inline(always)]
    #[must_use]
    pub const fn room(&self) -> usize {
        N - self.len as usize
    }

    /// Appends all of `bytes` and returns `true`, or returns `false` if there is no room for all.
    #[inline(always)]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let len = usize::from(self.len);
        let Some(room) = self.bytes.get_mut(len..).and_then(|rest| rest.get_mut(..bytes.len())) else {
            return false;
        };
        // SAFETY: `room` has the length of `bytes`, and is borrowed for writing, so the two do not
        // overlap.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), room.as_mut_ptr().cast(), bytes.len()) };
        // B1: the sum is the end of a part of `bytes`, so it is at most `N`.
        self.len = (len + bytes.len()) as u16;
        true
    }

    /// Removes all bytes.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl<const N: usize> Default for InlineBytes<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deref for InlineBytes<N> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: B1.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr().cast(), usize::from(self.len)) }
    }
}

impl<const N: usize> DerefMut for InlineBytes<N> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: B1.
        unsafe { slice::from_raw_parts_mut(self.bytes.as_mut_ptr().cast(), usize::from(self.len)) }
    }
}

impl<const N: usize> Clone for InlineBytes<N> {
    #[inline]
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        copy.append(self);
        copy
    }
}

impl<const N: usize> PartialEq for InlineBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for InlineBytes<N> {}

impl<const N: usize> fmt::Debug for InlineBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::InlineBytes;

    #[test]
    fn append_takes_all_bytes_or_none() {
        let mut bytes = InlineBytes::<4>::default();
        assert!(bytes.is_empty() && bytes.append(&[1, 2, 3]) && !bytes.append(&[4, 5]));
        assert!(bytes.append(&[]) && bytes.append(&[4]) && bytes.append(&[]) && !bytes.append(&[5]));
        assert_eq!((&*bytes, bytes.room()), (&[1, 2, 3, 4][..], 0));
        bytes.clear();
        assert_eq!((bytes.len(), bytes.room()), (0, 4));
    }

    #[test]
    fn clone_has_the_used_bytes() {
        let mut bytes = InlineBytes::<1000>::new();
        assert!(bytes.append(&[7; 999]));
        let mut copy = bytes.clone();
        assert_eq!(copy, bytes);
        copy[998] = 8;
        assert!(copy != bytes && copy.append(&[9]) && !copy.append(&[9]));
        assert_eq!((copy[997], copy[998], copy[999]), (7, 8, 9));
    }

    #[test]
    fn no_room_at_all_is_valid() {
        let mut bytes = InlineBytes::<0>::new();
        assert!(bytes.append(&[]) && !bytes.append(&[1]) && bytes.is_empty());
    }
}
