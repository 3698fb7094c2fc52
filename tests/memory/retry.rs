//! An event that is accepted at the first attempt does not use the heap.

use buslane::retry::{Backoff, Breaker};
use buslane::{Sink, SinkExt, noop};
use std::sync::Arc;
use std::time::Duration;
use test_support::heap::{Heap, heap_of};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn first_attempt_success_never_allocates() {
    let breaker = Arc::new(Breaker::new(5, SECOND));
    let sinks: [(&str, Box<dyn Sink<u64>>); 3] = [
        ("a backoff", Box::new(noop().retry(Backoff::new(SECOND, HOUR)))),
        ("a breaker", Box::new(noop().retry(breaker.clone()).dead_letters(noop()))),
        ("by key", Box::new(noop().retry_by_key(|event: &u64| event % 3, breaker))),
    ];
    for (what, sink) in sinks {
        let (heap, ()) = heap_of(|| (0..1000).for_each(|event| sink.write(event).unwrap()));
        assert_eq!(heap, Heap::default(), "{what}");
    }
}
