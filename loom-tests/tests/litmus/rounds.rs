//! Threads that meet, do their part at the same moment, and meet again.

use crate::processors;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A word in a line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

/// How many rounds a litmus has, where the environment does not say.
const ROUNDS: usize = 5_000;
/// How long a round may take on average: where processors are shared, threads that meet take far
/// longer, and there are fewer rounds.
const ROUND: Duration = Duration::from_micros(60);
/// How often a thread looks before it lets another one run: for some hundred microseconds, so that
/// two that have a processor each stay together.
const LOOKS: usize = 10_000;
/// The longest delay before a part is two to this power, in steps of a nanosecond or a few; short
/// ones are as frequent as long ones.
const DELAYS: u64 = 12;

/// How many rounds a litmus has, of those that the environment or the default says: one in so many.
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
            // The other one may have no processor.
            thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Where a number of threads meet.
struct Meeting {
    parties: usize,
    /// How often one looks whether all are there before it lets another one run.
    looks: usize,
    arrived: Apart<AtomicUsize>,
    broken: AtomicBool,
}

/// One of those who meet; nobody waits for one that panics.
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

/// What one thread does in a round, whose number it is given.
pub(crate) type Part<'a> = Box<dyn FnMut(usize) + Send + 'a>;

/// Has each part done by a thread of its own, all at the same moment, so many times or fewer; after
/// each round, `check` looks at what came of it, while nobody does anything. Returns how many
/// rounds there were.
pub(crate) fn play(rounds: usize, mut parts: Vec<Part<'_>>, mut check: impl FnMut(usize) + Send) -> usize {
    // One litmus after the other: its threads are to have the processors for themselves.
    static PLAYING: Mutex<()> = Mutex::new(());
    let _playing = PLAYING.lock().unwrap_or_else(PoisonError::into_inner);
    let (allowed, parties) = (processors::allowed(), parts.len());
    // Where two share a processor, one waits for the other in vain.
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
    // Lowered by the first thread while all others wait for it, and read behind that.
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
                    // The round is looked at.
                    party.meet();
                }
            });
        }
        // Not the calling thread, which is to stay where it may be.
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
