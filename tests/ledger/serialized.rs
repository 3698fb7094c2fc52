//! The text form of settings, and the JSON form of settings, ledgers, snapshots and reports: these
//! names are stable.

use buslane::journal::Sequence;
use buslane::retry::{Backoff, DeadLetter};
use buslane::stats::{
    CloseReport, Disposition, DropReason, Dropped, Finish, FlushReport, Imbalance, Ledger, Published,
    Refused, RetryState, SinkStatus, SubscriberState,
};
use buslane::{Bus, Channel, Journal, Overflow, Sink, SinkExt, WaitStrategy, WriteError, sink_fn};
use serde_json::{Value, from_str, from_value, json, to_value};
use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Asserts that a value has this text, and that its JSON is the same text.
fn is_text<T>(value: T, text: &str)
where
    T: FromStr<Err: Debug> + Display + PartialEq + Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    assert_eq!(value.to_string(), text);
    assert_eq!(text.parse::<T>().unwrap(), value);
    assert_eq!(text.replace('_', "-").parse::<T>().unwrap(), value);
    assert_eq!(to_value(&value).unwrap(), Value::String(text.to_owned()));
    assert_eq!(from_value::<T>(Value::String(text.to_owned())).unwrap(), value);
}

#[test]
fn overflow_round_trips_as_text() {
    is_text(Overflow::DropNewest, "drop_newest");
    is_text(Overflow::DropOldest, "drop_oldest");
    is_text(Overflow::Refuse, "refuse");
    is_text(Overflow::Block, "block");
    is_text(Overflow::Close, "close");
    is_text(Overflow::BlockFor(Duration::from_millis(1500)), "block_for:1500ms");
    is_text(Overflow::BlockFor(Duration::ZERO), "block_for:0s");
    is_text(Overflow::BlockFor(Duration::MAX), "block_for:18446744073709551615999999999ns");
}

#[test]
fn wait_strategy_round_trips_as_text() {
    is_text(WaitStrategy::SpinPark, "spin_park");
    is_text(WaitStrategy::Park, "park");
    is_text(WaitStrategy::BusySpin, "busy_spin");
    is_text(WaitStrategy::nap(), "nap:100us,10ms");
    is_text(WaitStrategy::poll(), "poll:100us,10ms");
    assert_eq!("nap".parse(), Ok(WaitStrategy::nap()));
    assert_eq!("poll".parse(), Ok(WaitStrategy::poll()));
}

#[test]
fn invalid_text_error_lists_the_valid_texts() {
    for text in
        ["", "drop", "Drop_Newest", "block:1s", "block_for", "block_for:", "block_for:1", "block_for:1s,2s"]
    {
        let error = text.parse::<Overflow>().unwrap_err();
        assert_eq!(error.text(), text);
        let shown = error.to_string();
        assert!(
            shown.contains("drop_newest, drop_oldest, refuse, block, block_for:DURATION or close"),
            "{shown}"
        );
        assert!(from_value::<Overflow>(json!(text)).is_err_and(|error| error.to_string().contains(&shown)));
    }
    for text in ["", "sleep", "park:1s", "nap:1ms", "nap:1ms,", "poll:1ms,2ms,3ms", " nap"] {
        let shown = text.parse::<WaitStrategy>().unwrap_err().to_string();
        assert!(shown.contains("spin_park, park, poll, poll:BUSY,IDLE or busy_spin"), "{shown}");
    }
}

#[test]
fn ledger_round_trips_as_json() {
    let mut ledger = Ledger::default();
    ledger.offered = 9;
    ledger.accepted = 7;
    ledger.refused.full = 2;
    ledger.delivered = 4;
    ledger.dropped.evicted = 2;
    ledger.pending = 1;
    let expected = json!({
        "offered": 9, "accepted": 7,
        "refused": {"full": 2, "closed": 0, "timeout": 0, "reentrant": 0, "failed": 0},
        "delivered": 4, "filtered": 0,
        "dropped": {"full": 0, "evicted": 2, "receiver_dropped": 0, "aborted": 0, "failed": 0, "panicked": 0},
        "pending": 1,
    });
    assert_eq!(to_value(ledger).unwrap(), expected);
    assert_eq!(from_value::<Ledger>(expected).unwrap(), ledger);
    assert_eq!(from_str::<Ledger>("{}").unwrap(), Ledger::default());
    assert_eq!(from_str::<Refused>(r#"{"timeout":3}"#).unwrap().total(), 3);
    assert_eq!(from_str::<Dropped>(r#"{"failed":3}"#).unwrap().total(), 3);
}

#[test]
fn variants_serialize_in_snake_case() {
    let reasons = [
        (DropReason::Full, "full"),
        (DropReason::Evicted, "evicted"),
        (DropReason::ReceiverDropped, "receiver_dropped"),
        (DropReason::Aborted, "aborted"),
        (DropReason::Failed, "failed"),
        (DropReason::Panicked, "panicked"),
    ];
    for (reason, text) in reasons {
        assert_eq!((to_value(reason).unwrap(), reason.to_string().as_str()), (json!(text), text));
        assert_eq!(from_value::<DropReason>(json!(text)).unwrap(), reason);
    }
    for (finish, text) in
        [(Finish::Done, "done"), (Finish::Pending, "pending"), (Finish::TimedOut, "timed_out")]
    {
        assert_eq!(to_value(finish).unwrap(), json!(text));
        assert_eq!(from_value::<Finish>(json!(text)).unwrap(), finish);
    }
    for (status, text) in
        [(SinkStatus::Open, "open"), (SinkStatus::Closed, "closed"), (SinkStatus::Drained, "drained")]
    {
        assert_eq!((to_value(status).unwrap(), status.to_string().as_str()), (json!(text), text));
        assert_eq!(from_value::<SinkStatus>(json!(text)).unwrap(), status);
    }
    assert_eq!(Disposition::Dropped(DropReason::Full).to_string(), "dropped(full)");
    assert_eq!(Disposition::Pending.to_string(), "pending");
}

#[test]
fn published_round_trips_as_json() {
    let bus = Bus::new();
    let _receiver = bus.subscribe_lossy(1).unwrap();
    let (first, second) = (bus.publish(1).unwrap(), bus.publish(2).unwrap());
    let expected = json!({"accepted": 0, "dropped": 1, "refused": 0});
    assert_eq!(to_value(second).unwrap(), expected);
    assert_eq!(from_value::<Published>(expected).unwrap(), second);
    assert_eq!(from_value::<Published>(json!({"accepted": 1})).unwrap(), first);
}

#[test]
fn imbalance_serializes_as_its_ledger() {
    let mut ledger = Ledger::default();
    ledger.offered = 1;
    let imbalance = ledger.check().unwrap_err();
    let value = to_value(&imbalance).unwrap();
    assert_eq!(value, to_value(ledger).unwrap());
    assert_eq!(from_value::<Imbalance>(value).unwrap(), imbalance);
}

#[test]
fn dispositions_serialize_in_snake_case() {
    for (disposition, expected) in [
        (Disposition::Delivered, json!("delivered")),
        (Disposition::Pending, json!("pending")),
        (Disposition::Filtered, json!("filtered")),
        (Disposition::Dropped(DropReason::ReceiverDropped), json!({"dropped": "receiver_dropped"})),
    ] {
        assert_eq!(to_value(disposition).unwrap(), expected);
    }
    // Accepts even numbers, and gives the others back.
    struct Even;
    impl Sink<Vec<u32>> for Even {
        fn write(&self, batch: Vec<u32>) -> Result<(), WriteError<Vec<u32>>> {
            let event: Vec<u32> = batch.into_iter().filter(|n| n % 2 == 1).collect();
            if event.is_empty() { Ok(()) } else { Err(WriteError::Failed { event, source: "odd".into() }) }
        }
    }
    let letters = sink_fn(|_: &DeadLetter<Vec<u32>>| ());
    let retry = Arc::new(Even.retry(Backoff::default().max_attempts(1)).dead_letters(letters));
    // A retry counts parts where a batch is upstream.
    let batch = retry.clone().batch(1);
    batch.write(2).unwrap();
    let partly = retry.offer(vec![1, 2, 4]).unwrap();
    assert_eq!(to_value(partly).unwrap(), json!({"partly": {"delivered": 2, "rest": {"dropped": "failed"}}}));
}

#[test]
fn reports_round_trip_as_json() {
    let mut report = CloseReport::done();
    report.merge("disk", CloseReport::failed("no space left"));
    report.merge("network", CloseReport::timed_out(3));
    let expected = json!({
        "finish": "timed_out", "undelivered": 3, "unfinished": ["network"], "errors": ["disk: no space left"],
    });
    assert_eq!(to_value(&report).unwrap(), expected);
    assert_eq!(from_value::<CloseReport>(expected).unwrap(), report);

    let mut report = FlushReport::default();
    report.note(Finish::TimedOut);
    let expected = json!({"finish": "timed_out", "unfinished": [], "errors": []});
    assert_eq!(to_value(&report).unwrap(), expected);
    assert_eq!(from_value::<FlushReport>(expected).unwrap(), report);
}

#[test]
fn snapshot_serializes_as_one_json_object() {
    let (channel, _receiver) = Channel::builder().capacity(2).overflow(Overflow::Refuse).build().unwrap();
    let bus = Bus::new();
    let id = bus.add_named("audit", channel).unwrap();
    let _ = (0..3).filter(|n| bus.publish(*n).is_ok()).count();
    let snapshot = bus.snapshot();
    let value = to_value(&snapshot).unwrap();
    let id = to_value(id).unwrap();
    assert!(id.is_u64());
    let sink = snapshot.sink("audit").unwrap();
    assert_eq!(
        value,
        json!({
            "sinks": [{
                "id": id, "name": "audit", "location": sink.location.to_string(),
                "state": {
                    "kind": "channel", "status": "open", "depth": 2, "high_water": 0, "capacity": 2, "lanes": 0,
                    "ledger": to_value(sink.state.ledger).unwrap(),
                    "last_error": null, "backlog_for": to_value(sink.state.backlog_for).unwrap(),
                    "oldest_for": to_value(sink.state.oldest_for).unwrap(), "in_handler_for": null,
                    "batches": 0, "largest_batch": 0, "batch_time": {"secs": 0, "nanos": 0},
                    "subscribers": [], "retries": [],
                },
            }],
            "publishers": 0,
            "closed": false,
        })
    );
    assert_eq!((sink.state.ledger.accepted, sink.state.ledger.refused.full), (2, 1));
    assert!(snapshot.sink("metrics").is_none());
}

#[test]
fn subscribers_and_retries_round_trip_as_json() {
    let journal = Journal::new(16).unwrap();
    let mut subscriber = journal.subscription().name("audit").subscribe().unwrap();
    journal.publish_batch(vec![1, 2, 3]).unwrap();
    subscriber.recv().unwrap();
    let state = &journal.state().subscribers[0];
    let value = to_value(state).unwrap();
    let expected = json!({
        "name": "audit", "number": 0, "next": 1, "behind": 2, "gating": false, "ended": false,
        "ledger": to_value(state.ledger).unwrap(),
    });
    assert_eq!(value, expected);
    assert_eq!(from_value::<SubscriberState>(value).unwrap(), *state);

    let retry = sink_fn(|_: &u32| Err("no route")).retry(Backoff::default().max_attempts(1));
    let queue = retry.queue(8).unwrap();
    queue.write(7).unwrap();
    assert!(queue.close().is_done());
    let state = &queue.state().retries[0];
    let value = to_value(state).unwrap();
    let expected = json!({
        "retried": 0, "given_up": 1, "letters_sent": 0, "letters_lost": 0,
        "last_error": "the sink failed: no route",
    });
    assert_eq!(value, expected);
    assert_eq!(from_value::<RetryState>(value).unwrap(), *state);
}

#[test]
fn sequence_serializes_as_its_number() {
    let sequence = Sequence::from(7);
    assert_eq!((u64::from(sequence), sequence.get()), (7, 7));
    assert_eq!(to_value(sequence).unwrap(), json!(7));
    assert_eq!(from_value::<Sequence>(json!(7)).unwrap(), sequence);
}
