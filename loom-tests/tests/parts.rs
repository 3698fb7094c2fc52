//! What several consumers share, and how far one is, each part by itself: [`buslane::parts`].
//!
//! In a queue these orderings stand between fences, which are full ones in a model: it takes a preemption at one very step to see one
//! of them missing, or a fence hides that which in the asymmetric pair is only the compiler's.

use buslane::parts::{Crowd, Mailbox, Marks, Member, Progress, Share};
use buslane::ring::mpmc::{Pop, Ring};
use buslane::stats::FlushReport;
use buslane::time::Deadline;
use buslane::wait::FencePair;
use buslane::{Channel, Sink};
use loom_tests::probe::{Probe, Traces};
use loom_tests::{Arc, AtomicUsize, Ordering, Steps, model, model_with, thread};

/// Where consumers sleep, and what they look for.
struct Place {
    crowd: Crowd,
    progress: AtomicUsize,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self { crowd: Crowd::new(FencePair::process()), progress: AtomicUsize::new(0) })
    }

    fn advance(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.crowd.wake_all();
    }

    fn has_come(&self, progress: usize) -> bool {
        self.progress.load(Ordering::Relaxed) >= progress
    }

    fn nap_until(&self, progress: usize) {
        while !self.has_come(progress) {
            self.crowd.nap_unless(|| self.has_come(progress));
        }
    }

    fn park_until(&self, progress: usize) {
        while !self.has_come(progress) {
            self.crowd.park_unless(|| self.has_come(progress));
        }
    }
}

#[test]
fn wake_all_against_a_nap() {
    // Who naps sees what changed, or is woken: by the lock alone. Fails when the look behind the announcement is missing in
    // `Crowd::nap_unless`, or comes before it.
    model(|| {
        let place = Place::new();
        let other = place.clone();
        let waker = thread::spawn(move || {
            other.advance();
            other.advance();
        });
        place.nap_until(1);
        place.nap_until(2);
        waker.join().unwrap();
    });
}

#[test]
fn wake_all_against_one_that_naps_and_one_that_parks() {
    // All are woken, on whichever list. Fails when `Crowd::wake_all` leaves out a list, or counts it before it has the lock.
    model(|| {
        let place = Place::new();
        let (napping, parking) = (place.clone(), place.clone());
        let napping = thread::spawn(move || napping.nap_until(1));
        let parking = thread::spawn(move || parking.park_until(1));
        place.advance();
        napping.join().unwrap();
        parking.join().unwrap();
    });
}

#[test]
fn a_flush_against_a_mark_that_is_set_again() {
    // Whoever finds a mark beyond its target, or none, sees what was done with the events before. Fails when ORD(member.mark) is
    // Relaxed in `set_mark`, `clear_mark` or `mark`. In a queue a light fence stands between the two marks.
    model(|| {
        let (ring, marks) = (Ring::new(2).expect("a small ring"), Marks::default());
        let (traces, steps) = (Traces::default(), Steps::new());
        assert!(ring.push(0).is_ok());
        let shared = Arc::new((ring, marks));
        let (member, mark, done, turns) = (shared.clone(), shared.1.join(), traces.clone(), steps.clone());
        let member = thread::spawn(move || {
            let (ring, _) = &*member;
            loop {
                mark.set(ring.claimed());
                turns.step();
                let Pop::Value((position, _)) = ring.pop_at() else { break };
                mark.set(position);
                done.leave(0);
                mark.clear();
                turns.step();
            }
            mark.clear();
        });
        steps.step();
        let (ring, marks) = &*shared;
        if marks.have_reached(ring, 1) {
            traces.look(0b1);
        }
        member.join().unwrap();
    });
}

/// A flush that does not wait, against a consumer that takes one event.
fn flush_against_a_shared_receiver(unbounded: bool) {
    let builder = Channel::builder().capacity(1);
    let builder = if unbounded { builder.unbounded() } else { builder };
    let (channel, mut receiver) = builder.build_shared().expect("a small channel");
    channel.write(0).expect("room");
    let flusher = thread::spawn(move || {
        let mut report = FlushReport::default();
        channel.flush_by(Deadline::NOW, &mut report);
        if report.is_done() {
            assert_eq!(channel.state().ledger.delivered, 1, "flushed, and in the books");
        }
        channel
    });
    assert_eq!(receiver.try_recv(), Ok(0));
    drop((flusher.join().unwrap(), receiver));
}

#[test]
fn a_flush_against_a_claim_of_a_position() {
    // A flush that believes the marks finds the event in the books. Fails when nothing is marked before the claim, or
    // ORD(member.mark) is Relaxed in `clear_mark` or `mark`.
    model(|| flush_against_a_shared_receiver(false));
}

#[test]
fn a_flush_against_a_claim_that_is_counted() {
    // As above, where claims are counted. Fails also when ORD(members.claimed) is Relaxed in `Members::claim`: the count is then
    // seen, and not the mark that was set before.
    model(|| flush_against_a_shared_receiver(true));
}

#[test]
fn a_flush_against_an_event_that_is_evicted_before_the_consumer_has_it() {
    // The consumer finds nothing where it has seen something. A flush that finds it with empty hands, and everything claimed, sees
    // what it did with the event before. Fails when ORD(lane.in_hand) is Relaxed in `nothing_in_hand`. In a queue a light fence
    // stands between the two events.
    model(|| {
        let (ring, progress) = (Ring::new(2).expect("a small ring"), Progress::default());
        let traces = Traces::default();
        assert!(ring.push(0).is_ok() && ring.push(1).is_ok());
        let shared = Arc::new((ring, progress));
        let (consumer, done) = (shared.clone(), traces.clone());
        let consumer = thread::spawn(move || {
            let (ring, progress) = &*consumer;
            while ring.has_filled() {
                progress.take_in_hand();
                let Pop::Value((position, event)) = ring.pop_at() else {
                    progress.nothing_in_hand();
                    break;
                };
                done.leave(event);
                progress.done(position);
            }
        });
        let (ring, progress) = &*shared;
        if let Pop::Value(evicted) = ring.pop()
            && progress.has_reached(ring, 2)
        {
            traces.look(0b11 & !(1 << evicted));
        }
        consumer.join().unwrap();
    });
}

const FIRST: usize = 0;
const SECOND: usize = 1;

/// Sleeps first of all, and returns with an event, or when the mailbox is closed and nothing is left.
fn sleep(mut member: Member<usize>) -> Option<usize> {
    loop {
        member.wait();
        let event = member.take();
        if event.is_some() || member.is_drained() {
            return event;
        }
    }
}

#[test]
fn a_consumer_passes_on_what_lies_behind_the_event_of_a_writer_that_stands_still() {
    // A writer has put the first event in, and never comes to look whether somebody sleeps. Who takes that event wakes the one
    // that lay down while the first place was empty, for the second event. Fails when the fence of `Mailbox::pass_on` is missing, or
    // when it does not wake another one. Two preemptions.
    model_with(2, || {
        let (mailbox, mut awake) = Mailbox::new(2);
        let sleeper = awake.another();
        let slow = mailbox.clone();
        let slow = thread::spawn(move || assert!(slow.put(FIRST)));
        let sleeper = thread::spawn(move || sleep(sleeper));
        // Now the others have their turn without a preemption.
        thread::yield_now();
        if mailbox.accepted() == 1 {
            assert!(mailbox.write(SECOND));
            let mine = loop {
                match awake.take() {
                    Some(event) => break event,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(sleeper.join().unwrap().map(|theirs| theirs + mine), Some(FIRST + SECOND));
            slow.join().unwrap();
        } else {
            // Not begun yet: nothing is to be seen.
            slow.join().unwrap();
            mailbox.close();
            assert_eq!(sleeper.join().unwrap(), Some(FIRST));
        }
    });
}

#[test]
fn a_consumer_tells_of_the_end_behind_the_event_of_a_writer_that_stands_still() {
    // As above, where that event is the last one. Who takes it wakes the one that lay down in the closed mailbox while the place was
    // empty. Fails when the fence of `Mailbox::pass_on` is missing, or when it does not wake all at the end. Two preemptions.
    model_with(2, || {
        let (mailbox, mut awake) = Mailbox::new(1);
        let (slow, sleeper) = (mailbox.clone(), awake.another());
        let slow = thread::spawn(move || slow.put(FIRST));
        let sleeper = thread::spawn(move || {
            mailbox.close();
            sleep(sleeper)
        });
        let mine = loop {
            let event = awake.take();
            if event.is_some() || awake.is_drained() {
                break event;
            }
            thread::yield_now();
        };
        let theirs = sleeper.join().unwrap();
        assert_eq!(mine.or(theirs), slow.join().unwrap().then_some(FIRST));
    });
}

#[test]
fn the_last_of_two_workers_closes_their_sink() {
    // The close comes behind what the other worker wrote. Fails when ORD(work.working) is Relaxed.
    model(|| {
        let (probe, watch) = Probe::new();
        let workers = Share::of(probe, 2).into_iter().map(|mut share| {
            thread::spawn(move || {
                assert!(share.handle(0_u32));
                assert!(share.close::<u32>().is_done());
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.join().unwrap();
        }
        assert_eq!(watch.writes(), 2);
    });
}
