//! The guide, the defaults, use in async code, protocols and their verification, memory use, and
//! where names come from.
//!
//! | page | answers |
//! |---|---|
//! | [`guide`] | How do I use it? Eight chapters and four worked cases |
//! | [`defaults`] | What is every default, and which capacity do I choose? |
//! | [`async_code`] | Which calls wait, and what does a task use instead? |
//! | [`rings`] | Do I take a queue, a channel or a journal, and what does each cost? |
//! | [`processes`] | When is one process not enough, and what carries the events then? |
//! | [`memory`] | How many bytes does each part use? |
//! | [`metrics`] | What are the metrics called, on what do I alert, and how do I serve them? |
//! | [`correctness`] | What is guaranteed, and how is it verified? |
//! | [`protocols`] | How is each guarantee kept? |
//! | [`atomics`] | Which atomic words, memory orderings and fences are there, and why? |
//! | [`go_events`] | Which name and behavior here matches each one of docker/go-events? |
//! | [`migration`] | Which names have changed? |

pub mod guide;

#[doc = include_str!("docs/defaults.md")]
pub mod defaults {}

#[doc = include_str!("docs/async_code.md")]
pub mod async_code {}

#[doc = include_str!("docs/metrics.md")]
pub mod metrics {}

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

#[doc = include_str!("docs/processes.md")]
pub mod processes {}

#[doc = include_str!("docs/memory.md")]
pub mod memory {}

/// Returns the default in the first row of the page that contains all these words.
#[cfg(test)]
pub(crate) fn default_of(words: &[&str]) -> &'static str {
    let page = include_str!("docs/defaults.md");
    let row = page.lines().find(|line| words.iter().all(|word| line.contains(word)));
    row.and_then(|row| row.trim_end_matches(" |").rsplit(" | ").next()).expect("no row has these words")
}
