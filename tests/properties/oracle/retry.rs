//! A retry on a bus, compared with a plain interpretation of its policy, with a clock that advances
//! to the end of each wait.

use super::value::Step;
use buslane::retry::{Backoff, Breaker, BreakerState, DeadLetter, RetryPolicy};
use buslane::stats::Ledger;
use buslane::testing::ManualClock;
use buslane::{Bus, Channel, Overflow, Receiver, Sink, SinkExt, WriteError};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    policy: Policy,
    attempts: Option<u32>,
    elapsed: Option<Duration>,
    /// The capacity for dead letters, if there are any.
    letters: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Backoff { base: Duration, most: Duration },
    Breaker { threshold: u32, backoff: Duration },
}

impl Setup {
    pub(crate) fn decode([policy, size, attempts, elapsed, letters, _]: [u8; 6]) -> Self {
        let policy = if policy.is_multiple_of(2) {
            let base = MILLI * (u32::from(size) + 1);
            Policy::Backoff { base, most: base * (u32::from(policy) / 16 + 1) }
        } else {
            let threshold = u32::from(policy) / 32 + 1;
            Policy::Breaker { threshold, backoff: MILLI * (u32::from(size) + 1) }
        };
        Self {
            policy,
            attempts: (attempts % 4 != 0).then(|| u32::from(attempts) / 32 + 1),
            elapsed: (elapsed % 3 == 1).then(|| MILLI * u32::from(elapsed) * 4),
            letters: (letters % 4 != 0).then(|| usize::from(letters) / 16 + 1),
        }
    }
}

/// The inner sink's answer to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Takes,
    Fails,
    IsFull,
    TakesTooLong,
    IsReentrant,
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Adds the sink's next answer; without a scripted answer the sink accepts.
    Script(Answer),
    Publish,
    ReadLetter,
    Advance(Duration),
    Close,
}

impl Op {
    pub(crate) fn decode([code, number, _]: Step) -> Self {
        match code % 64 {
            0..14 => Self::Publish,
            14..34 => Self::Script(Answer::Fails),
            34..38 => Self::Script(Answer::IsFull),
            38..42 => Self::Script(Answer::TakesTooLong),
            42..44 => Self::Script(Answer::IsReentrant),
            44..46 => Self::Script(Answer::Panics),
            46..50 => Self::Script(Answer::Takes),
            50..56 => Self::ReadLetter,
            56..63 => Self::Advance(MILLI * u32::from(number)),
            _ => Self::Close,
        }
    }
}

/// A sink that answers by a script, and stores the events that it accepts.
#[derive(Default)]
struct Scripted {
    script: Mutex<VecDeque<Answer>>,
    taken: Mutex<Vec<u64>>,
    attempts: Mutex<u64>,
}

impl Sink<u64> for Scripted {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        *self.attempts.lock().expect("not poisoned") += 1;
        let answer = self.script.lock().expect("not poisoned").pop_front().unwrap_or(Answer::Takes);
        match answer {
            Answer::Takes => {
                self.taken.lock().expect("not poisoned").push(event);
                Ok(())
            }
            Answer::Fails => Err(WriteError::Failed { event, source: "as requested".into() }),
            Answer::IsFull => Err(WriteError::Full(event)),
            Answer::TakesTooLong => Err(WriteError::Timeout(event)),
            Answer::IsReentrant => Err(WriteError::Reentrant(event)),
            Answer::Panics => std::panic::resume_unwind(Box::new("as requested")),
        }
    }
}

/// The state of a breaker's circuit.
#[derive(Default)]
struct Circuit {
    failures: u32,
    until: Option<Duration>,
    probing: bool,
}

/// The end of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Taken,
    Letter,
    Refused(Answer),
    Panicked,
}

struct Model {
    setup: Setup,
    script: VecDeque<Answer>,
    now: Duration,
    circuit: Circuit,
    attempts: u64,
    letters: VecDeque<(u64, u32)>,
    taken: Vec<u64>,
    books: Ledger,
}

/// Runs a case; panics where the retry and its model differ.
pub(crate) fn run(setup: Setup, ops: &[Op]) {
    let clock = ManualClock::hurrying();
    let behind = Arc::new(Scripted::default());
    let (letters, mut dead) = dead_letters(setup);
    match setup.policy {
        Policy::Backoff { base, most } => {
            let mut policy = Backoff::new(base, most).jitter(0.0);
            if let Some(attempts) = setup.attempts {
                policy = policy.max_attempts(attempts);
            }
            if let Some(elapsed) = setup.elapsed {
                policy = policy.max_elapsed(elapsed);
            }
            play(setup, ops, &clock, &behind, policy, letters, &mut dead, || None);
        }
        Policy::Breaker { threshold, backoff } => {
            let mut policy = Breaker::new(threshold, backoff).clock(clock.clone());
            if let Some(attempts) = setup.attempts {
                policy = policy.max_attempts(attempts);
            }
            if let Some(elapsed) = setup.elapsed {
                policy = policy.max_elapsed(elapsed);
            }
            let policy = Arc::new(policy);
            let breaker = policy.clone();
            play(setup, ops, &clock, &behind, policy, letters, &mut dead, || Some(breaker.state()));
        }
    }
}

type Letters = (Option<Channel<DeadLetter<u64>>>, Option<Receiver<DeadLetter<u64>>>);

fn dead_letters(setup: Setup) -> Letters {
    setup.letters.map_or((None, None), |room| {
        let built = Channel::builder().capacity(room).overflow(Overflow::Refuse).build();
        let (channel, receiver) = built.expect("a small channel");
        (Some(channel), Some(receiver))
    })
}

#[expect(clippy::too_many_arguments, reason = "the parts of one case")]
fn play(
    setup: Setup,
    ops: &[Op],
    clock: &ManualClock,
    behind: &Arc<Scripted>,
    policy: impl RetryPolicy<u64> + 'static,
    letters: Option<Channel<DeadLetter<u64>>>,
    dead: &mut Option<Receiver<DeadLetter<u64>>>,
    state: impl Fn() -> Option<BreakerState>,
) {
    let mut retry = behind.clone().retry(policy).clock(clock.clone());
    if let Some(letters) = letters {
        retry = retry.dead_letters(letters);
    }
    let bus = Bus::new();
    bus.add(retry).expect("an open bus");
    let mut publisher = bus.publisher();
    let mut model = Model {
        setup,
        script: VecDeque::new(),
        now: Duration::ZERO,
        circuit: Circuit::default(),
        attempts: 0,
        letters: VecDeque::new(),
        taken: Vec::new(),
        books: Ledger::default(),
    };
    for (event, op) in (0_u64..).zip(ops) {
        match *op {
            Op::Script(answer) => {
                model.script.push_back(answer);
                behind.script.lock().expect("not poisoned").push_back(answer);
            }
            Op::Advance(by) => {
                model.now += by;
                clock.advance(by);
            }
            Op::ReadLetter => {
                let letter = dead.as_mut().and_then(|dead| dead.try_recv().ok());
                let letter = letter.map(|letter| (letter.event, letter.attempts));
                assert_eq!(letter, model.letters.pop_front(), "the dead letters");
            }
            Op::Publish => {
                let published = if event % 2 == 0 { publisher.publish(event) } else { bus.publish(event) };
                let published = published.expect("an open bus");
                let told = (published.accepted, published.dropped, published.refused);
                let expected = match model.publish(event) {
                    End::Taken => (1, 0, 0),
                    End::Letter | End::Panicked => (0, 1, 0),
                    End::Refused(_) => (0, 0, 1),
                };
                assert_eq!(told, expected, "accepted, dropped, refused");
            }
            Op::Close => break,
        }
        assert_eq!(*behind.attempts.lock().expect("not poisoned"), model.attempts, "attempts");
        assert_eq!(*behind.taken.lock().expect("not poisoned"), model.taken, "the accepted events");
        assert_eq!(clock.passed(), model.now, "the elapsed time");
        if let Some(state) = state() {
            assert_eq!(state, model.breaker(), "the breaker");
        }
        let ledger = bus.snapshot().sinks[0].state.ledger;
        ledger.check().expect("the ledger balances");
        assert_eq!(ledger, model.books);
    }
    assert!(bus.close().is_done());
    assert!(publisher.publish(0).is_err(), "a closed bus accepts no event");
}

impl Model {
    fn breaker(&self) -> BreakerState {
        match self.circuit.until {
            None => BreakerState::Closed,
            Some(until) if self.now < until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    fn publish(&mut self, event: u64) -> End {
        let end = self.deliver(event);
        self.books.offered += 1;
        self.books.accepted += u64::from(!matches!(end, End::Refused(_)));
        match end {
            End::Taken => self.books.delivered += 1,
            End::Letter => self.books.dropped.failed += 1,
            End::Panicked => self.books.dropped.panicked += 1,
            End::Refused(Answer::IsFull) => self.books.refused.full += 1,
            End::Refused(Answer::TakesTooLong) => self.books.refused.timeout += 1,
            End::Refused(Answer::IsReentrant) => self.books.refused.reentrant += 1,
            End::Refused(_) => self.books.refused.failed += 1,
        }
        end
    }

    fn deliver(&mut self, event: u64) -> End {
        let begun = self.now;
        let mut made = 0;
        loop {
            if let Some(until) = self.circuit.until {
                self.now = self.now.max(until);
                self.circuit.probing = true;
            }
            made += 1;
            self.attempts += 1;
            let answer = self.script.pop_front().unwrap_or(Answer::Takes);
            match answer {
                Answer::Takes => {
                    self.circuit = Circuit::default();
                    self.taken.push(event);
                    return End::Taken;
                }
                Answer::IsReentrant | Answer::Panics => {
                    self.circuit.probing = false;
                    return if answer == Answer::Panics { End::Panicked } else { End::Refused(answer) };
                }
                Answer::Fails | Answer::IsFull | Answer::TakesTooLong => {}
            }
            let (wait, rests) = self.failure(made);
            let too_often = self.setup.attempts.is_some_and(|most| made >= most);
            let too_late = self.setup.elapsed.is_some_and(|most| self.now - begun + wait > most);
            if too_often || too_late {
                let has_room = self.setup.letters.is_some_and(|room| self.letters.len() < room);
                if has_room {
                    self.letters.push_back((event, made));
                    return End::Letter;
                }
                return End::Refused(answer);
            }
            if rests {
                self.now += wait;
            }
        }
    }

    /// Returns the duration until the next attempt, and whether the event itself waits for that
    /// long; otherwise the breaker waits.
    fn failure(&mut self, made: u32) -> (Duration, bool) {
        match self.setup.policy {
            Policy::Backoff { base, most } => {
                let doublings = (made - 1).min(20);
                ((base * 2_u32.pow(doublings)).min(most), true)
            }
            Policy::Breaker { threshold, backoff } => {
                self.circuit.failures += 1;
                let opens = self.circuit.until.is_some() || self.circuit.failures >= threshold;
                if opens {
                    self.circuit.until = Some(self.now + backoff);
                    self.circuit.probing = false;
                    (backoff, false)
                } else {
                    let missing = (threshold - self.circuit.failures).min(10);
                    (backoff / (1 << missing), true)
                }
            }
        }
    }
}
