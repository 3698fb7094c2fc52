//! Random lists of operations, each applied to the real implementation and to a plain model, which
//! must agree after every step.
//!
//! Cases are single-threaded and depend only on their operations.
//! `PROPTEST_CASES=10000 cargo test --test properties` runs more of them. A failing case is shrunk
//! and printed. Reduced further by hand, it becomes a named test.

mod oracle;

use oracle::value::Step;
use oracle::{blocks, bus, channel, director, journal, mpmc, retry, spsc};
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::Config;

/// Returns a strategy for the operations of one case, decoded from random bytes.
fn operations<O: std::fmt::Debug>(decode: fn(Step) -> O, most: usize) -> impl Strategy<Value = Vec<O>> {
    vec(any::<Step>().prop_map(decode), 0..most)
}

fn config() -> Config {
    // A failure becomes a named test, not a file of seeds.
    Config { failure_persistence: None, ..Config::default() }
}

proptest::proptest! {
    #![proptest_config(config())]

    #[test]
    fn spsc_ring_matches_a_bounded_queue_with_an_end(capacity in 1..9_usize, ops in operations(spsc::Op::decode, 200)) {
        spsc::run(capacity, &ops);
    }

    #[test]
    fn mpmc_ring_matches_a_bounded_queue(capacity in 1..9_usize, ops in operations(mpmc::Op::decode, 200)) {
        mpmc::run(capacity, &ops);
    }

    #[test]
    fn block_ring_matches_a_list_that_forgets(capacity in 1..150_usize, ops in operations(blocks::Op::decode, 150)) {
        blocks::run(capacity, &ops);
    }

    #[test]
    fn channel_matches_one_queue_per_publisher(
        setup in any::<Step>().prop_map(channel::Setup::decode),
        ops in operations(channel::Op::decode, 150),
    ) {
        channel::run(setup, &ops);
    }

    #[test]
    fn bus_matches_a_list_of_sinks(ops in operations(bus::Op::decode, 80)) {
        bus::run(&ops);
    }

    #[test]
    fn journal_matches_a_list_of_all_events(
        setup in any::<Step>().prop_map(journal::Setup::decode),
        ops in operations(journal::Op::decode, 150),
    ) {
        journal::run(setup, &ops);
    }

    #[test]
    fn retry_follows_its_policy(
        setup in any::<[u8; 6]>().prop_map(retry::Setup::decode),
        ops in operations(retry::Op::decode, 100),
    ) {
        retry::run(setup, &ops);
    }

    #[test]
    fn director_matches_a_list_with_places(
        rules in any::<[u8; 6]>().prop_map(director::Rules::decode),
        ops in operations(director::Op::decode, 200),
    ) {
        director::run(rules, &ops);
    }

    #[test]
    fn nodes_of_a_director_match_the_same_list(
        rules in any::<[u8; 6]>().prop_map(director::Rules::decode),
        ops in operations(director::puppets::Op::decode, 120),
    ) {
        director::puppets::run(rules, &ops);
    }
}
