//! Random stories of an engine and its connections. Whatever happens, each event comes exactly once
//! and in order, or a gap covers it.

use crate::{GUARD, Seen, monitor, prepared, source, volume};
use buslane::source::{Monitor, Update};
use buslane_docker::testing::{Cut, Framing, ScriptedEngine};
use buslane_docker::{DockerEvent, DockerToken};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::Config;
use std::collections::BTreeSet;
use std::time::Duration;
use test_support::wait_for;

/// One step of a story.
#[derive(Clone, Debug)]
enum Step {
    /// Events, and whether the next step waits until they are forwarded.
    Emit(u8, bool),
    EmitCut(Cut),
    End,
    Cut,
    /// Stops listening; events happen meanwhile.
    Away(u16),
    Restart,
    /// Moves the clock, in milliseconds: far enough that no event from before it looks like one that
    /// was published late.
    Clock(i16),
    Framing(Framing),
    Repeat(u8),
    /// Stops the monitor, lets events happen, and continues at the text of its token.
    Process(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let cut = prop_oneof![Just(Cut::MidChunk), Just(Cut::MidObject), Just(Cut::MidCharacter)];
    let framing = prop_oneof![
        Just(Framing::Lines),
        Just(Framing::NoNewlines),
        Just(Framing::CarriageReturns),
        Just(Framing::SharedChunks),
        Just(Framing::SingleBytes)
    ];
    prop_oneof![
        6 => (1..20_u8, any::<bool>()).prop_map(|(events, waits)| Step::Emit(events, waits)),
        2 => cut.prop_map(Step::EmitCut),
        1 => Just(Step::End),
        2 => Just(Step::Cut),
        2 => prop_oneof![4 => 0..40_u16, 1 => 250..400_u16].prop_map(Step::Away),
        1 => Just(Step::Restart),
        1 => prop_oneof![-32_000..-2_000_i16, 2_000..32_000_i16].prop_map(Step::Clock),
        1 => framing.prop_map(Step::Framing),
        1 => (0..5_u8).prop_map(Step::Repeat),
        1 => (0..5_u8).prop_map(Step::Process),
    ]
}

struct Story {
    engine: ScriptedEngine,
    seen: Seen,
    monitor: Monitor<DockerToken>,
    events: u32,
    /// The numbers of updates upstream of each new process.
    processes: BTreeSet<usize>,
}

/// Starts a process that continues at the text of a token.
fn start(engine: &ScriptedEngine, seen: &Seen, token: Option<String>) -> Monitor<DockerToken> {
    let source = source(engine).proof_wait(Duration::from_millis(30));
    let token = token.map(|text| text.parse().unwrap());
    monitor(source).resume(token).spawn(seen.clone()).unwrap()
}

impl Story {
    fn next(&mut self) -> u32 {
        self.events += 1;
        self.events - 1
    }

    fn emit(&mut self, events: u32) {
        let numbers: Vec<u32> = (0..events).map(|_| self.next()).collect();
        self.engine.emit_all(numbers.iter().map(|number| volume(&number.to_string())));
    }

    /// Waits until a new event is forwarded. Each one before it was, or is covered by a gap.
    fn settle(&mut self) {
        loop {
            let (updates, number) = (self.seen.len(), self.next().to_string());
            self.engine.emit(volume(&number));
            let is_it =
                |update: &Update<DockerEvent>| matches!(update, Update::Event(event) if event.id() == number);
            // A client that is about to connect may miss the event, if the clock was set back. It is
            // told of the connection then, and the next event comes.
            wait_for(|| self.seen.len() > updates);
            if self.seen.events().iter().any(is_it) {
                return;
            }
        }
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Emit(events, waits) => {
                self.emit(events.into());
                if waits {
                    self.settle();
                }
            }
            Step::EmitCut(cut) => {
                let number = self.next().to_string();
                self.engine.emit_cut(volume(&number).attribute("name", "ä"), cut);
            }
            Step::End => self.engine.end(),
            Step::Cut => self.engine.cut(),
            Step::Away(events) => {
                self.engine.stop();
                self.emit(events.into());
                self.engine.listen().unwrap();
            }
            Step::Restart => self.engine.restart().unwrap(),
            Step::Clock(millis) => {
                let now = self.engine.now();
                self.engine.set_time(now.saturating_add_signed(i64::from(millis) * 1_000_000));
            }
            Step::Framing(framing) => self.engine.set_framing(framing),
            Step::Repeat(events) => self.engine.repeat_at_seam(events.into()),
            Step::Process(events) => {
                assert!(self.monitor.stop_timeout(GUARD).is_done());
                self.engine.wait_streams(0);
                self.processes.insert(self.seen.len());
                let token = self.monitor.token().map(|token| token.to_string());
                self.emit(events.into());
                self.monitor = start(&self.engine, &self.seen, token);
            }
        }
    }

    /// Checks that none comes twice, and that without a gap between them each event is the next one
    /// that has not come yet.
    ///
    /// The wait for a proof is short here, so it may end in the middle of a replay. Then events that
    /// an earlier gap has covered may follow. A new process knows only the events of its token, so after
    /// a gap it may repeat others.
    fn check(&self) {
        let (mut next, mut has_gap, mut known) = (0, false, BTreeSet::new());
        let (mut is_new_process, mut may_repeat) = (false, false);
        let updates = self.seen.events();
        let texts = || updates.iter().cloned().map(crate::text).collect::<Vec<_>>();
        for (index, update) in updates.clone().into_iter().enumerate() {
            if self.processes.contains(&index) {
                (is_new_process, may_repeat) = (true, false);
            }
            match update {
                Update::Gap(_) => (has_gap, may_repeat) = (true, is_new_process),
                // With a clock that was set back, and without a proof, it may be a new one.
                Update::Event(event) if event.id() == "before" => {
                    assert!(has_gap, "an event before the beginning: {:?}", texts());
                }
                Update::Event(event) => {
                    let number: u32 = event.id().parse().unwrap();
                    assert!(known.insert(number) || may_repeat, "{number} comes twice: {:?}", texts());
                    let is_next = number >= next && (next..number).all(|earlier| known.contains(&earlier));
                    assert!(is_next || has_gap, "{number} comes in place of {next}: {:?}", texts());
                    (next, has_gap) = (number + 1, false);
                }
                _ => {}
            }
        }
        assert_eq!(next, self.events, "the last event is there: {:?}", texts());
    }
}

fn config() -> Config {
    // A failure becomes a named test, not a file of seeds.
    Config { failure_persistence: None, cases: 48, max_shrink_iters: 30, ..Config::default() }
}

proptest::proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_event_comes_once_or_is_covered_by_a_gap(steps in vec(step(), 1..25)) {
        let engine = prepared(ScriptedEngine::start().unwrap());
        let seen = Seen::new();
        let monitor = start(&engine, &seen, None);
        engine.wait_streams(1);
        let mut story = Story { engine, seen, monitor, events: 0, processes: BTreeSet::new() };
        // The beginning is known, so nothing before the first gap may be missing.
        story.settle();
        for step in &steps {
            story.play(step);
        }
        story.settle();
        assert!(story.monitor.stop_timeout(GUARD).is_done());
        story.check();
    }
}
