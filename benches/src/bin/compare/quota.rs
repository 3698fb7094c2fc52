//! Several publishers into one consumer in a quota of one processor: `benches::quota`.

use crate::Bench;
use crate::apart;
use crate::report::Target;
use benches::paired::{Contender, Series};
use benches::peer::{Crossbeam, Crossfire, EACH, Fanring, Flume, Kanal, Std, Thingbuf, TokioMpsc};
use benches::quota::Quota;
use benches::route::lanes::{ByBus, ByPublisher, Called, Queues, Reads};
use benches::route::waiting;
use std::io;
use std::time::Duration;

const COUNT: usize = 4;
const OURS: [&str; 3] = ["buslane Queue", "buslane Receiver::recv", "buslane Bus::publish, Queue"];
const PEERS: [&str; 8] =
    ["crossbeam-channel", "crossfire mpsc", "fanring", "kanal", "std", "thingbuf", "flume", "tokio mpsc"];

/// Makes the contender with this name.
pub(crate) fn find(name: &str, time: Duration) -> Option<Contender> {
    let contender = match name {
        "buslane Queue" => {
            Contender::in_quota(name, COUNT, time, || Called::waiting(ByPublisher, Queues::Closure))
        }
        "buslane Receiver::recv" => {
            Contender::in_quota(name, COUNT, time, || Called::waiting(ByPublisher, Reads::Recv))
        }
        "buslane Bus::publish, Queue" => {
            Contender::in_quota(name, COUNT, time, || Called::waiting(ByBus, Queues::Closure))
        }
        "crossbeam-channel" => Contender::in_quota(name, COUNT, time, waiting::<Crossbeam>),
        "crossfire mpsc" => Contender::in_quota(name, COUNT, time, waiting::<Crossfire>),
        "fanring" => Contender::in_quota(name, COUNT, time, waiting::<Fanring<EACH>>),
        "kanal" => Contender::in_quota(name, COUNT, time, waiting::<Kanal>),
        "std" => Contender::in_quota(name, COUNT, time, waiting::<Std>),
        "thingbuf" => Contender::in_quota(name, COUNT, time, waiting::<Thingbuf>),
        "flume" => Contender::in_quota(name, COUNT, time, waiting::<Flume>),
        "tokio mpsc" => Contender::in_quota(name, COUNT, time, waiting::<TokioMpsc>),
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
    let key = |name: &&str| apart::here(&format!("quota/{name}/{millis}"));
    let all = OURS.iter().chain(&PEERS).filter_map(key).collect();
    let series = Series::run(all, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "4 publishers into one consumer, default waiting, not pinned, in a quota of one processor";
    let mut section = bench.report.section("quota", title, series)?;
    let names: Vec<String> = OURS.iter().chain(&PEERS).map(|name| (*name).to_owned()).collect();
    let figures = |end: &str| -> Vec<String> { names.iter().map(|name| format!("{name}, {end}")).collect() };
    section.figures("M events/s, handled", &names, |nanoseconds| 1e3 / nanoseconds);
    section.figures("processor time of all threads, ns an event", &figures("cpu"), |ns| ns);
    section.figures("least publisher / greatest", &figures("share"), |share| share);
    section.figures("periods in which the quota was used up, for 1 s", &figures("throttled"), |count| count);
    section.ratios("ratio of rates");
    let peers = PEERS.map(str::to_owned);
    OURS.iter().for_each(|ours| section.best(ours, &peers, None));
    section.ratios("ratio of processor time");
    OURS.iter().for_each(|ours| {
        section.ratio(&format!("{ours}, cpu"), "std, cpu", Some(Target::AtMost(1.0)));
    });
    section.finish()
}
