//! Longer texts: the defaults, use in async code, how the guarantees are kept and checked, what things take, what go-events' names
//! are here, and which names have changed.
//!
//! | page | what it answers |
//! |---|---|
//! | [`rings`] | which to take: a queue, a channel or a journal |
//! | [`defaults`] | what each default is, and how to choose a capacity |
//! | [`async_code`] | which calls block the thread, and what to use in a task instead |
//! | [`memory`] | how many bytes each part takes |
//! | [`protocols`] | how the guarantees are kept |
//! | [`atomics`] | which thread writes and reads each atomic word, and with which ordering |
//! | [`correctness`] | what is guaranteed, what checks it, and how to run the checks |
//! | [`go_events`] | what each type and call of docker/go-events is here |
//! | [`migration`] | which names have changed since the first release |

#[doc = include_str!("docs/defaults.md")]
pub mod defaults {}

#[doc = include_str!("docs/async_code.md")]
pub mod async_code {}

#[doc = include_str!("docs/protocols.md")]
pub mod protocols {}

#[doc = include_str!("docs/atomics.md")]
pub mod atomics {}

#[doc = include_str!("docs/correctness.md")]
pub mod correctness {}

#[doc = include_str!("docs/go_events.md")]
pub mod go_events {}

#[doc = include_str!("docs/migration.md")]
pub mod migration {}

#[doc = include_str!("docs/rings.md")]
pub mod rings {}

#[doc = include_str!("docs/memory.md")]
pub mod memory {}

/// The default that the page names in the first row that holds all these words.
#[cfg(test)]
pub(crate) fn default_of(words: &[&str]) -> &'static str {
    let page = include_str!("docs/defaults.md");
    let row = page.lines().find(|line| words.iter().all(|word| line.contains(word)));
    row.and_then(|row| row.trim_end_matches(" |").rsplit(" | ").next()).expect("a row of the page")
}
