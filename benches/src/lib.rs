//! Support for the benches of `buslane` and its peers: what an event is, what a contender is, and
//! how both are timed.
//!
//! | module | holds |
//! |---|---|
//! | [`event`] | the 32-byte event that every contender carries, and what else a journal is given |
//! | [`peer`] | the crates that carry a stream to one consumer |
//! | [`route`] | ways from any number of publishers to one consumer at work |
//! | [`cost`] | what one publish costs its thread while there is room; single-threaded |
//! | [`read`] | what it costs to take an event that is there; single-threaded |
//! | [`stream`] | how fast one publisher feeds one consumer on another processor |
//! | [`merge`] | how much several publishers get through to one consumer, and what that costs the machine |
//! | [`wake`] | what a publish costs whose consumer sleeps |
//! | [`latency`] | how late events are handled that are sent by the clock |
//! | [`churn`] | what a publisher feels of sinks that come and go |
//! | [`publishers`] | how much several publishers of one stream get in, and how much each of them |
//! | [`alone`] | a contender in a process of its own |
//! | [`machine`] | pinning, and how far apart the two processors are at the moment |
//! | [`paired`] | contenders interleaved in one process, and the ratios between them |
//! | [`statistics`], [`histogram`], [`usage`] | medians and bootstrap intervals; percentiles; processor time |
//!
//! Every contender has the same capacity, carries the same event, is asked to do the same, and is
//! checked: an event that is lost, doubled, torn or out of order is a panic, never a better figure.
//!
//! # How to run
//! ```text
//! cargo bench -p benches                                    # everything; quiet machine, half an hour
//! cargo bench -p benches -- --quick                         # the same, less exactly, in minutes
//! cargo bench -p benches --bench publish -- one             # by name
//! cargo bench -p benches -- --test                          # only: does each contender work
//! cargo run -p benches --profile bench --bin compare        # the figures to quote: ratios with their intervals
//! cargo run -p benches --profile bench --bin compare -- --quick --out target/compare
//! cargo run -p benches --profile bench --bin compare -- journal
//! bash .ci/counts                                           # instructions, not times
//! ```
//! The first two processors that the process may use are taken; choose others with
//! `taskset -c 2,3 cargo …`.

pub mod alone;
pub mod churn;
pub mod cost;
pub mod event;
pub mod histogram;
pub mod latency;
pub mod machine;
pub mod merge;
pub mod paired;
pub mod peer;
pub mod publishers;
pub mod read;
pub mod route;
pub mod statistics;
pub mod stream;
pub mod usage;
pub mod wake;

/// How many events every ring, lane and channel holds.
pub const CAPACITY: usize = 1024;
