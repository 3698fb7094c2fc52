//! Random events, spans and losses: every line is valid, and nothing panics.

use super::{Kept, check};
use buslane::Bus;
use buslane_tracing::{Clock, Json, Kind, ManualTime, Record, RecordWriter, Text, Timestamp, layer};
use std::fmt;
use test_support::GUARD;
use tracing::field::Empty;
use tracing::subscriber::with_default;
use tracing::{Level, Span, debug_span, error, info, info_span, trace, warn};
use tracing_subscriber::layer::SubscriberExt;

/// The generator of Marsaglia with three shifts.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn text(&mut self) -> String {
        let len = [3, 3, 3, 40, 300, 3000][self.below(6) as usize];
        let len = self.below(len);
        (0..len).map(|_| char::from_u32(self.below(0x300) as u32).unwrap_or('?')).collect()
    }
}

/// Formats itself in pieces, and fails sometimes.
struct Pieces(String, bool);

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| fmt::Write::write_char(f, c))?;
        if self.1 { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Logs one random event, or takes one step with a span.
fn step(random: &mut Random, spans: &mut Vec<Span>, time: &ManualTime) {
    let nanos = random.below(3_000_000_000_000_000_000);
    time.set(Timestamp::from_nanos([0, 1, nanos, u64::MAX][random.below(4) as usize]));
    let (text, other) = (random.text(), random.text());
    let number = random.below(u64::MAX);
    let at = random.below(spans.len() as u64 + 1) as usize;
    match random.below(14) {
        0 => spans.push(info_span!("one", text = &*text, late = Empty)),
        1 => spans.push(debug_span!("two", number, "quoted \" name" = %other, late = Empty)),
        2 => spans.push(match spans.get(at) {
            Some(parent) => info_span!(parent: parent, "child", late = Empty),
            None => info_span!(parent: None, "root", late = Empty),
        }),
        3 if at < spans.len() => drop(spans.remove(at)),
        4 if at < spans.len() => {
            spans[at].record("late", &*text);
        }
        5 if at < spans.len() => spans[at].in_scope(|| step(random, &mut Vec::new(), time)),
        6 if at < spans.len() => info!(parent: &spans[at], "{text}"),
        7 => error!(number = number as i64, ratio = f64::from_bits(number), "{text}"),
        8 => warn!(wide = u128::from(number) << 60, bytes = text.as_bytes(), r#type = true),
        9 => info!(text = &*text, pieces = ?Pieces(other, number.is_multiple_of(2))),
        10 => trace!(error = &fmt::Error as &(dyn std::error::Error + 'static), %text),
        _ => info!(target: "another::target", number, "{text}{other}"),
    }
}

/// Runs `steps` steps, and returns the lines.
fn run(seed: u64, format: impl buslane_tracing::Format, spill: usize, lossy: bool) -> Vec<String> {
    let (bus, kept, time) = (Bus::<Record>::new(), Kept::default(), ManualTime::new(Timestamp::NONE));
    let (inner, mut losses) = (bus.clone(), Random(seed ^ 0x5555));
    let guard =
        RecordWriter::new(format, kept.clone()).capacity(if lossy { 4 } else { 4096 }).start(&bus).unwrap();
    // A bus of its own for the layer, which loses and swaps records on the way to the writer.
    let outer = Bus::<Record>::new();
    let mut held: Option<Record> = None;
    let (sender, mut received) = buslane::Channel::lossy(8192).unwrap();
    outer.add(sender).unwrap();
    let built =
        layer(&outer).level(Level::TRACE).clock(Clock::Manual(time.clone())).spill_limit(spill).build();
    with_default(tracing_subscriber::registry().with(built), || {
        let (mut random, mut spans) = (Random(seed), Vec::new());
        for _ in 0..400 {
            step(&mut random, &mut spans, &time);
            for record in received.drain() {
                if lossy && losses.below(4) == 0 && record.kind() != Kind::Event {
                    continue;
                }
                if lossy && losses.below(8) == 0 {
                    held = Some(record);
                    continue;
                }
                let _ = inner.publish(record);
                if let Some(late) = held.take() {
                    let _ = inner.publish(late);
                }
            }
        }
    });
    assert!(guard.close(GUARD).is_done());
    check(bus.snapshot().sinks[0].state.ledger);
    kept.lines()
}

#[test]
fn every_random_line_is_valid_json() {
    for seed in 1..=30 {
        let lines = run(
            seed,
            Json::new().threads(true).source(true),
            [0, 4096, 1 << 20][seed as usize % 3],
            seed.is_multiple_of(2),
        );
        for line in &lines {
            let object: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{seed}: {error}: {line}"));
            assert!(object["level"].is_string() && object["fields"].is_object(), "{seed}: {line}");
        }
        assert!(seed.is_multiple_of(2) || lines.len() > 100, "{seed}: {}", lines.len());
    }
}

#[test]
fn no_random_line_controls_a_terminal() {
    for seed in 31..=50 {
        let lines = run(
            seed,
            Text::new().threads(true).source(true),
            [0, 4096, 1 << 20][seed as usize % 3],
            seed.is_multiple_of(2),
        );
        let control = lines.iter().find(|line| line.chars().any(|c| c.is_control() && c != '\t'));
        assert_eq!(control, None, "{seed}");
    }
}
