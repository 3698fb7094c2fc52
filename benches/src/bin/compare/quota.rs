//! Several publishers into one consumer in a quota of one processor: `benches::quota`.

use crate::Bench;
use crate::apart;
use crate::report::Target;
use benches::paired::{Contender, Series};
use benches::peer::{Crossbeam, Crossfire, EACH, Fanring, Flume, Kanal, Rapidfire, Std, Thingbuf, TokioMpsc};
use benches::quota::Quota;
use benches::route::lanes::{ByBus, ByPublisher, Called, Queues, Reads};
use benches::route::ticklog::Ticklog;
use benches::route::{spinning, waiting};
use buslane::WaitStrategy;
use std::io;
use std::time::Duration;

/// A flow of events.
struct Flow {
    /// Its part of a key.
    key: &'static str,
    publishers: usize,
    /// How long a publisher sleeps after each event.
    pause: Option<Duration>,
}

/// Publishers that send as fast as they can. They use the quota up by themselves.
const BUSY: Flow = Flow { key: "busy", publishers: 4, pause: None };
/// Publishers that mostly sleep: who uses the quota up here, spins.
const PACED: Flow = Flow { key: "paced", publishers: 2, pause: Some(Duration::from_micros(50)) };

const OURS: [&str; 3] = ["buslane Queue", "buslane Receiver::recv", "buslane Bus::publish, Queue"];
const PEERS: [&str; 9] = [
    "crossbeam-channel",
    "crossfire mpsc",
    "fanring",
    "rapidfire, blocked on",
    "kanal",
    "std",
    "thingbuf",
    "flume",
    "tokio mpsc",
];
/// A peer whose worker never sleeps, and whose publishers spin for room: "the best" does not refer to
/// it.
const TICKLOG: &str = "ticklog";
/// Consumers that spin: what the section shows if one does. With paced publishers only.
const SPINNING: [&str; 2] = ["buslane Queue, BusySpin", "crossbeam-channel, try_recv in a loop"];

/// Makes the contender with this name.
pub(crate) fn find(flow: &str, name: &str, time: Duration) -> Option<Contender> {
    let Flow { publishers, pause, .. } = [BUSY, PACED].into_iter().find(|known| known.key == flow)?;
    let (label, of) = (format!("{name}, {flow}"), (publishers, pause));
    let ours = Called::waiting(ByPublisher, Queues::Closure);
    let contender = match name {
        "buslane Queue" => Contender::in_quota(&label, of, time, move || ours),
        "buslane Queue, BusySpin" => {
            Contender::in_quota(&label, of, time, move || ours.wait(WaitStrategy::BusySpin))
        }
        "buslane Receiver::recv" => {
            Contender::in_quota(&label, of, time, || Called::waiting(ByPublisher, Reads::Recv))
        }
        "buslane Bus::publish, Queue" => {
            Contender::in_quota(&label, of, time, || Called::waiting(ByBus, Queues::Closure))
        }
        "crossbeam-channel" => Contender::in_quota(&label, of, time, waiting::<Crossbeam>),
        "crossbeam-channel, try_recv in a loop" => {
            Contender::in_quota(&label, of, time, spinning::<Crossbeam>)
        }
        "crossfire mpsc" => Contender::in_quota(&label, of, time, waiting::<Crossfire>),
        "fanring" => Contender::in_quota(&label, of, time, waiting::<Fanring<EACH>>),
        "rapidfire, blocked on" => Contender::in_quota(&label, of, time, waiting::<Rapidfire>),
        TICKLOG => Contender::in_quota(&label, of, time, || Ticklog),
        "kanal" => Contender::in_quota(&label, of, time, waiting::<Kanal>),
        "std" => Contender::in_quota(&label, of, time, waiting::<Std>),
        "thingbuf" => Contender::in_quota(&label, of, time, waiting::<Thingbuf>),
        "flume" => Contender::in_quota(&label, of, time, waiting::<Flume>),
        "tokio mpsc" => Contender::in_quota(&label, of, time, waiting::<TokioMpsc>),
        _ => return None,
    };
    Some(contender)
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    if let Err(error) = Quota::one_processor() {
        println!("\nThe section quota was skipped: a control group cannot be made ({error}).");
        return Ok(());
    }
    // Several periods of the quota.
    let millis = bench.effort.merge.as_millis() * 4;
    let key = |flow: &'static str| move |name: &&str| apart::here(&format!("quota/{flow}/{name}/{millis}"));
    let (in_busy, in_paced) =
        ([&OURS[..], &PEERS, &[TICKLOG]].concat(), [&OURS[..], &SPINNING, &PEERS, &[TICKLOG]].concat());
    let busy = in_busy.iter().filter_map(key(BUSY.key));
    let paced = in_paced.iter().filter_map(key(PACED.key));
    let series =
        Series::run(busy.chain(paced).collect(), bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title =
        "Several publishers into one consumer, default waiting, not pinned, in a quota of one processor";
    let mut section = bench.report.section("quota", title, series)?;
    section.line(format_args!(
        "\n{}: {} publishers that send all the time. {}: {} publishers that sleep for 50 µs after each event. \
         A period of the quota is 100 ms.",
        BUSY.key, BUSY.publishers, PACED.key, PACED.publishers
    ));
    let named = |flow: &Flow, names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("{name}, {}", flow.key)).collect()
    };
    let (busy, paced) = (named(&BUSY, &in_busy), named(&PACED, &in_paced));
    for names in [&busy, &paced] {
        let figures =
            |end: &str| -> Vec<String> { names.iter().map(|name| format!("{name}, {end}")).collect() };
        section.figures("M events/s, handled", names, |nanoseconds| 1e3 / nanoseconds);
        section.figures("processor time of all threads, ns an event", &figures("cpu"), |ns| ns);
        section.figures("least publisher / greatest", &figures("share"), |share| share);
        section
            .figures("periods in which the quota was used up, for 1 s", &figures("throttled"), |count| count);
        section.figures("threads stopped, ms of 1 s", &figures("stopped"), |ns| ns / 1e6);
    }
    section.ratios("ratio of rates");
    let (ours, peers) = (named(&BUSY, &OURS), named(&BUSY, &PEERS));
    ours.iter().for_each(|ours| section.best(ours, &peers, None));
    section.ratios("ratio of processor time");
    ours.iter().for_each(|ours| {
        section.ratio(&format!("{ours}, cpu"), &format!("std, {}, cpu", BUSY.key), Some(Target::AtMost(1.0)));
    });
    section.ratios("paced publishers: periods in which the quota was used up, for 1 s");
    for ours in named(&PACED, &OURS) {
        let name = format!("{ours}, throttled");
        section.row(&name, [&name], |[periods]| periods, Some(Target::AtMost(0.0)));
    }
    // Where other processes keep the processors busy, no quota is used up: then the rows above show
    // nothing.
    for spinning in named(&PACED, &SPINNING) {
        let name = format!("{spinning}, throttled");
        let label = format!("control: {name}");
        section.row(&label, [&name], |[periods]| periods, Some(Target::AtLeast(1.0)));
    }
    section.finish()
}
