//! Lines of text.

use super::{Kept, Written, ledger, lines_of, spawn};
use buslane::Bus;
use buslane::testing::Gate;
use buslane_tracing::{Record, RecordWriter, Text, Timestamp, layer};
use std::io::{self, Write};
use std::time::Duration;
use test_support::{GUARD, wait_for};
use tracing::{Level, error, event, info, warn};
use tracing_subscriber::layer::SubscriberExt;

#[test]
fn line_has_all_its_parts() {
    let lines = lines_of(Text::new(), || {
        tracing::info_span!("request", id = 7).in_scope(|| {
            info!(target: "my_service::db", code = 504, name = "two words", ratio = 1.0, "no answer");
        });
    });
    let expected = r#"2023-11-14T22:13:20.123456Z  INFO request{id=7}: my_service::db: no answer code=504 name="two words" ratio=1.0"#;
    assert_eq!(lines, [expected]);
}

#[test]
fn levels_are_padded_to_five() {
    let bare = Text::new().time(false).target(false);
    let lines = lines_of(bare, || {
        error!("a");
        warn!("b");
        event!(Level::TRACE, "c");
    });
    assert_eq!(lines, ["ERROR a", " WARN b", "TRACE c"]);
}

#[test]
fn thread_and_source_are_optional() {
    let lines = lines_of(Text::new().time(false).threads(true).source(true), || info!("event"));
    assert!(lines[0].starts_with(" INFO thread="), "{lines:?}");
    assert!(lines[0].contains("layer/text.rs:") && lines[0].ends_with(": event"), "{lines:?}");
}

#[test]
fn control_characters_are_escaped() {
    let bare = Text::new().time(false).target(false);
    let lines = lines_of(bare, || {
        info!(display = %"\u{1b}[31mred\u{7}", string = "a\u{1b}b\n", "clear \u{1b}[2J\u{9b}");
    });
    let expected = r#" INFO clear \u{1b}[2J\u{9b} display=\u{1b}[31mred\u{7} string="a\u{1b}b\n""#;
    assert_eq!(lines, [expected]);
}

#[test]
fn raw_identifiers_lose_their_mark() {
    let lines = lines_of(Text::new().time(false).target(false), || info!(r#type = 1));
    assert_eq!(lines, [" INFO type=1"]);
}

#[test]
fn grace_brings_late_lines_into_order() {
    let written = Written::start_with(Text::new().time(false).target(false), |writer| {
        writer.grace(Duration::from_secs(3600))
    });
    written.log(|| {
        for nanos in [3, 1, 2] {
            written.time.set(Timestamp::from_nanos(nanos));
            spawn(move || info!("{nanos}")).join().unwrap();
        }
    });
    assert_eq!(written.close(), [" INFO 1", " INFO 2", " INFO 3"]);
}

/// A writer that waits at a gate.
struct Gated(Gate, Kept);

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.pass();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn losses_are_told_in_the_log() {
    let (bus, kept, gate) = (Bus::<Record>::new(), Kept::default(), Gate::closed());
    let writer = Gated(gate.clone(), kept.clone());
    let guard = RecordWriter::new(Text::new().target(false), writer).capacity(8).start(&bus).unwrap();
    let built = layer(&bus).build();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(built), || {
        info!("first");
        gate.wait_reached(1);
        (0..1000).for_each(|n| info!(n, "more"));
    });
    gate.open();
    assert!(guard.flush(GUARD).is_done());
    let lost = ledger(&guard).dropped.full;
    assert!(lost > 900, "{lost}");
    let told = format!("WARN buslane: {lost} lines lost (full)");
    wait_for(|| guard.flush(GUARD).is_done() && kept.text().contains(&told));
    let written = ledger(&guard).delivered;
    assert_eq!(written + lost, 1001);
    assert!(guard.close(GUARD).is_done());
}

#[test]
fn long_lines_are_whole() {
    let text = "long ".repeat(5000);
    let lines = lines_of(Text::new().time(false).target(false), || info!("{text}"));
    assert_eq!(lines, [format!(" INFO {text}")]);
}
