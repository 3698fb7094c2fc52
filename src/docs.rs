//! Longer texts: how the guarantees are kept, and what things take.

#[doc = include_str!("docs/protocols.md")]
pub mod protocols {}

#[doc = include_str!("docs/memory.md")]
pub mod memory {}
