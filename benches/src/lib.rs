//! Support for the benches of `buslane` and its peers: the event, the contenders, and their timing.
//!
//! | module | contents |
//! |---|---|
//! | [`event`] | the 32-byte event of every contender, and the other payloads of a journal |
//! | [`peer`] | the crates that carry a stream to one consumer |
//! | [`route`] | ways from any number of publishers to one busy consumer |
//! | [`cost`] | the cost of one publish while there is room; single-threaded |
//! | [`read`] | the cost of taking an available event; single-threaded |
//! | [`stream`] | the rate from one publisher to one consumer on another processor |
//! | [`merge`] | the rate of several publishers into one consumer, and its processor time |
//! | [`wake`] | the cost of a publish whose consumer is parked |
//! | [`latency`] | the latency of events that are sent by the clock |
//! | [`sizes`] | events of other sizes |
//! | [`members`] | one publisher and many members, each of which gets every event |
//! | [`tasks`] | asynchronous tasks into one task |
//! | [`requests`] | what telemetry costs the requests of a service, the program `telemetry` |
//! | [`in_place`] | the duration of single publishes in the middle of requests |
//! | [`churn`] | the effect of added and removed sinks on a publisher |
//! | [`publishers`] | the rate of several publishers of one stream, in total and for each |
//! | [`alone`] | a publish into a contender in a separate process |
//! | [`elsewhere`] | any contender in a separate process, or of another build |
//! | [`quota`] | a quota of one processor, by a control group |
//! | [`machine`] | pinning, and the current distance between the two processors |
//! | [`paired`] | contenders interleaved in one process, and the ratios between them |
//! | [`statistics`], [`histogram`], [`usage`] | medians and bootstrap intervals; percentiles; processor time |
//!
//! Every contender has the same capacity, carries the same event, and has the same task. Each is
//! checked: an event that is lost, duplicated, torn or out of order is a panic, never a better
//! figure.
//!
//! # How to run
//! ```text
//! cargo bench -p benches                                    # everything; quiet machine, half an hour
//! cargo bench -p benches -- --quick                         # the same, less precisely, in minutes
//! cargo bench -p benches --bench publish -- one             # by name
//! cargo bench -p benches -- --test                          # only checks that each contender works
//! cargo run -p benches --profile bench --bin compare        # the figures to quote: ratios with their intervals
//! cargo run -p benches --profile bench --bin compare -- --quick --out target/compare
//! cargo run -p benches --profile bench --bin compare -- journal
//! cargo run -p benches --profile bench --bin docker         # events of a Docker Engine, decoded and forwarded
//! bash .ci/counts                                           # instructions, not times
//! ```
//! Some crates choose instructions for the processor when they are compiled. For their rows a second
//! build of `compare` runs the samples:
//! ```text
//! RUSTFLAGS='-C target-cpu=native' cargo build -p benches --profile bench --bin compare --target-dir target/native
//! cargo run -p benches --profile bench --bin compare -- --native target/native/release/compare
//! ```
//! The section `requests` runs the program `telemetry` of `demos`:
//! ```text
//! cargo build --release -p telemetry
//! cargo run -p benches --profile bench --bin compare -- requests --telemetry target/release/telemetry
//! ```
//! The first two processors of the process are used; choose others with `taskset -c 2,3 cargo …`.

pub mod alone;
pub mod churn;
pub mod cost;
pub mod elsewhere;
pub mod event;
pub mod histogram;
pub mod in_place;
pub mod latency;
pub mod machine;
pub mod members;
pub mod merge;
pub mod paired;
pub mod peer;
pub mod publishers;
pub mod quota;
pub mod read;
pub mod requests;
pub mod route;
pub mod sizes;
pub mod statistics;
pub mod stream;
pub mod tasks;
pub mod usage;
pub mod wake;

/// The capacity of every ring, lane and channel, in events.
pub const CAPACITY: usize = 1024;
