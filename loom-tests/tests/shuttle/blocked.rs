//! Publishers that wait for room, which only a removal or a close ends.

use crate::support::{Event, Flag, LIMIT, Log, Progress, Source, Told};
use buslane::bus::Removed;
use buslane::error::RemoveError;
use buslane::{Bus, Channel, Overflow, Queue, Receiver, WaitStrategy};
use loom_tests::schedules::explore;
use loom_tests::thread;

const PUBLISHERS: usize = 3;
const EVENTS: usize = 4;
/// The number of events that find room in any case: one in each lane.
const REACHED: usize = PUBLISHERS;

fn channel() -> (Channel<Event>, Receiver<Event>) {
    let builder = Channel::builder().capacity(1).overflow(Overflow::Block).wait_strategy(WaitStrategy::Park);
    builder.build().expect("a small channel")
}

/// Returns a queue whose handler keeps up.
fn queue() -> (Queue<Event>, Log) {
    let handled = Log::default();
    let log = handled.clone();
    let builder = Queue::builder().capacity(1).overflow(Overflow::Block).wait_strategy(WaitStrategy::Park);
    (builder.spawn(move |event: Event| log.note(&event)).expect("a small queue"), handled)
}

/// Returns the remaining events of a closed channel.
fn rest(receiver: &mut Receiver<Event>) -> Log {
    let log = Log::default();
    while let Ok(event) = receiver.recv() {
        log.note(&event);
    }
    log
}

/// Publishes all events; if `shared` is set, the last publisher uses the shared lanes.
fn publish(
    bus: &Bus<Event>,
    source: &Source,
    told: &Told,
    progress: &Progress,
    shared: bool,
) -> Vec<thread::JoinHandle<()>> {
    let publisher = |me| {
        let (bus, source, told, progress) = (bus.clone(), source.clone(), told.clone(), progress.clone());
        thread::spawn(move || {
            let mut publisher = (!shared || me + 1 < PUBLISHERS).then(|| bus.publisher());
            for number in 0..EVENTS {
                let event = source.event(me, number);
                let outcome = match &mut publisher {
                    Some(publisher) => publisher.publish(event.clone()),
                    None => bus.publish(event.clone()),
                };
                told.note(&event, outcome);
                progress.step();
            }
        })
    };
    (0..PUBLISHERS).map(publisher).collect()
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn assert_from_the_first_on(log: &Log) {
    assert!(log.runs(PUBLISHERS).iter().all(|(first, _)| *first == 0), "from the first event");
}

#[test]
fn remove_releases_all_blocked_publishers() {
    // Three publishers have lanes for one event each into a queue and into a channel that no thread
    // reads. After the removal of the channel all of them continue, and the queue gets every event.
    explore(|| {
        let (bus, source, told, progress) = (Bus::new(), Source::new(), Told::default(), Progress::default());
        let (queue, handled) = queue();
        let (removed, mut receiver) = channel();
        bus.add(queue.clone()).expect("open");
        let id = bus.add(removed.clone()).expect("open");
        let publishers = publish(&bus, &source, &told, &progress, false);
        let (removing, sink) = (bus.clone(), removed.clone());
        let remover = thread::spawn(move || {
            progress.wait(REACHED);
            assert_eq!(removing.remove(id), Ok(Removed::Quiet));
            sink.state().ledger.accepted as usize
        });
        join(publishers);
        let entered = remover.join().unwrap();
        assert!(bus.close_timeout(LIMIT).is_done());
        removed.close();
        let rest = rest(&mut receiver);
        assert_eq!(rest.len(), entered, "no event enters after the removal");
        assert!(entered <= PUBLISHERS, "there is room for one event in each lane");
        assert_from_the_first_on(&rest);
        assert_eq!(handled.runs(PUBLISHERS), [(0, EVENTS); PUBLISHERS]);
        assert_eq!(told.accepted(), handled.len() + rest.len(), "the accepted events arrived");
        for ledger in [queue.state().ledger, removed.state().ledger] {
            ledger.check().unwrap();
            assert_eq!(ledger.pending, 0);
        }
        drop((bus, queue, removed));
        source.assert_all_dropped();
    });
}

#[test]
fn close_and_remove_release_all_blocked_publishers() {
    // As above, with a publisher without private lanes, and a second channel that no thread reads.
    // One thread removes a channel. Another closes the bus and then the removed channel, which the
    // bus does not close: every publisher continues with its event.
    explore(|| {
        let (bus, source, told, progress) = (Bus::new(), Source::new(), Told::default(), Progress::default());
        let (queue, handled) = queue();
        let (removed, mut removed_receiver) = channel();
        let (closed, mut closed_receiver) = channel();
        bus.add(queue.clone()).expect("open");
        let id = bus.add(removed.clone()).expect("open");
        bus.add(closed.clone()).expect("open");
        let publishers = publish(&bus, &source, &told, &progress, true);
        let let_go = Flag::default();
        let (removing, sink, time) = (bus.clone(), removed.clone(), let_go.clone());
        let reached = progress.clone();
        let remover = thread::spawn(move || {
            reached.wait(REACHED);
            let outcome = removing.remove(id);
            let entered = sink.state().ledger.accepted as usize;
            (outcome, (!time.is_set()).then_some(entered))
        });
        let (closing, sink) = (bus.clone(), removed.clone());
        let closer = thread::spawn(move || {
            progress.wait(REACHED);
            let report = closing.close_timeout(LIMIT);
            let_go.set();
            sink.close();
            report
        });
        join(publishers);
        let report = closer.join().unwrap();
        assert!(report.is_done(), "{report}");
        let (outcome, entered) = remover.join().unwrap();
        let logs = [handled, rest(&mut removed_receiver), rest(&mut closed_receiver)];
        match outcome {
            Ok(Removed::Quiet) => {
                assert!(
                    entered.is_none_or(|entered| entered == logs[1].len()),
                    "no event enters after the removal"
                );
            }
            other => assert_eq!(other, Err(RemoveError::Unknown), "the close came first"),
        }
        logs.iter().for_each(assert_from_the_first_on);
        // One event in each private lane, and one in the shared lane.
        assert!(logs[1..].iter().all(|log| log.len() <= PUBLISHERS));
        assert_eq!(told.accepted(), logs.iter().map(Log::len).sum::<usize>(), "the accepted events arrived");
        for ledger in [queue.state().ledger, removed.state().ledger, closed.state().ledger] {
            ledger.check().unwrap();
            assert_eq!(ledger.pending, 0);
        }
        drop((bus, queue, removed, closed));
        source.assert_all_dropped();
    });
}
