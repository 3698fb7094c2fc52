//! Threads that meet, run their parts at the same time, and meet again.

use crate::processors;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A word in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

/// The default number of rounds of a litmus test.
const ROUNDS: usize = 5_000;
/// The limit of a round on average: on shared processors a meeting takes far longer, and there are
/// fewer rounds.
const ROUND: Duration = Duration::from_micros(60);
/// The number of polls before a thread yields: some hundred microseconds, so that two threads on
/// separate processors stay in step.
const LOOKS: usize = 10_000;
/// The longest delay before a part is two to this power, in steps of one or a few nanoseconds;
/// short delays are as frequent as long ones.
const DELAYS: u64 = 12;

/// Returns the number of rounds of a litmus test: the configured number divided by `one_in`.
pub(crate) fn rounds(one_in: usize) -> usize {
    let all =
        std::env::var("LITMUS_ROUNDS").ok().map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    (all / one_in).max(1)
}

/// Waits until the condition holds.
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    wait(LOOKS, condition);
}

fn wait(most: usize, condition: impl Fn() -> bool) {
    let mut looks = 0;
    while !condition() {
        looks += 1;
        if looks % most == 0 {
            // The other thread may have no processor.
            thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// The meeting point of several threads.
struct Meeting {
    parties: usize,
    /// The number of polls for the other threads before a thread yields.
    looks: usize,
    arrived: Apart<AtomicUsize>,
    broken: AtomicBool,
}

/// One thread of a meeting; the others do not wait for a thread that panics.
struct Party<'a> {
    meeting: &'a Meeting,
    met: usize,
    random: u64,
}

impl Party<'_> {
    fn meet(&mut self) {
        self.met += self.meeting.parties;
        self.meeting.arrived.0.fetch_add(1, Ordering::AcqRel);
        wait(self.meeting.looks, || {
            assert!(!self.meeting.broken.load(Ordering::Relaxed), "another thread has failed");
            self.meeting.arrived.0.load(Ordering::Acquire) >= self.met
        });
    }

    fn delay(&mut self) {
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let most = 1 << (self.random % (DELAYS + 1));
        for step in 0..(self.random >> 32) % most {
            std::hint::black_box(step);
        }
    }
}

impl Drop for Party<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.meeting.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// The work of one thread in a round; the argument is the number of the round.
pub(crate) type Part<'a> = Box<dyn FnMut(usize) + Send + 'a>;

/// Runs each part on a separate thread, all at the same time, for at most `rounds` rounds. After
/// each round, `check` inspects the outcome while all threads are idle. Returns the number of
/// rounds.
pub(crate) fn play(rounds: usize, mut parts: Vec<Part<'_>>, mut check: impl FnMut(usize) + Send) -> usize {
    // The litmus tests run in sequence, so that each has the processors for its own threads.
    static PLAYING: Mutex<()> = Mutex::new(());
    let _playing = PLAYING.lock().unwrap_or_else(PoisonError::into_inner);
    let (allowed, parties) = (processors::allowed(), parts.len());
    // Where two threads share a processor, polling without a yield is wasted.
    let looks = if allowed.len() < parties { LOOKS / 1_000 } else { LOOKS };
    let meeting = Meeting { parties, looks, arrived: Apart::default(), broken: AtomicBool::new(false) };
    let party = |number: usize| {
        if !allowed.is_empty() {
            processors::stay_on(allowed[number % allowed.len()]);
        }
        Party { meeting: &meeting, met: 0, random: 0x9E37_79B9_7F4A_7C15 + number as u64 }
    };
    let mut first = parts.pop().expect("a part");
    let (limit, begun) = (ROUND * u32::try_from(rounds).expect("not that many rounds"), Instant::now());
    // The first thread lowers it while all others wait, and they load it after that.
    let last = AtomicUsize::new(rounds);
    let goes_on = |round: usize| round < last.load(Ordering::Relaxed);
    thread::scope(|scope| {
        for (number, mut part) in parts.into_iter().enumerate() {
            let (party, goes_on) = (&party, &goes_on);
            scope.spawn(move || {
                let mut party = party(number + 1);
                party.meet();
                for round in (0..).take_while(|round| goes_on(*round)) {
                    party.delay();
                    part(round);
                    party.meet();
                    // `check` runs between the two meetings.
                    party.meet();
                }
            });
        }
        // Not the calling thread, whose processors must not change.
        scope.spawn(|| {
            let mut party = party(0);
            party.meet();
            for round in (0..).take_while(|round| goes_on(*round)) {
                party.delay();
                first(round);
                party.meet();
                check(round);
                if begun.elapsed() > limit {
                    last.store(round + 1, Ordering::Relaxed);
                }
                party.meet();
            }
        });
    });
    last.into_inner()
}
