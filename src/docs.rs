//! Longer texts: how the guarantees are kept and checked, what things take, and what go-events' names are here.

#[doc = include_str!("docs/protocols.md")]
pub mod protocols {}

#[doc = include_str!("docs/atomics.md")]
pub mod atomics {}

#[doc = include_str!("docs/correctness.md")]
pub mod correctness {}

#[doc = include_str!("docs/go_events.md")]
pub mod go_events {}

#[doc = include_str!("docs/rings.md")]
pub mod rings {}

#[doc = include_str!("docs/memory.md")]
pub mod memory {}
