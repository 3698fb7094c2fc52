//! `ticklog` carries every event. A process can configure it once, so this program has one test.

use benches::merge;
use benches::route::ticklog::Ticklog;
use std::time::Duration;

#[test]
fn ticklog_carries_every_event() {
    let merged = merge::run(Ticklog, 3, Duration::from_millis(3));
    assert_eq!(merged.handled, merged.sent.iter().sum::<u64>());
}
