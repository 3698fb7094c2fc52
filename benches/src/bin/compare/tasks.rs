//! Many asynchronous tasks into one: `benches::tasks`.

use crate::Bench;
use crate::report::Target;
use benches::paired::{Contender, Series};
use benches::tasks::{
    AsyncBroadcast, BusPublish, Crossfire, Fanring, FanringTogether, Flume, Kanal, OwnPublisher,
    PublishAsync, Rapidfire, TokioMpsc, WithLocal,
};
use std::io;
use std::time::Duration;

/// The numbers of tasks, and of the threads that run them.
const TASKS: [usize; 2] = [40, 64];
const WORKERS: usize = 2;
const OURS: [&str; 4] = [
    "buslane Publisher::publish",
    "buslane Publisher::publish_async",
    "buslane Bus::with_local",
    "buslane Bus::publish",
];
/// The peers. Those without a word on their room have room for 1024 events of all tasks.
const PEERS: [&str; 8] = [
    "tokio mpsc",
    "flume",
    "kanal",
    "crossfire mpsc",
    "rapidfire",
    "async-broadcast",
    "fanring, 1024 each",
    "fanring, 1024 together",
];

fn contenders(tasks: usize, duration: Duration) -> Vec<Contender> {
    let (of, time) = ((tasks, WORKERS), duration);
    let name = |contender: &str| format!("{contender}, {tasks}");
    vec![
        Contender::tasks::<OwnPublisher>(&name(OURS[0]), of, time),
        Contender::tasks::<PublishAsync>(&name(OURS[1]), of, time),
        Contender::tasks::<WithLocal>(&name(OURS[2]), of, time),
        Contender::tasks::<BusPublish>(&name(OURS[3]), of, time),
        Contender::tasks::<TokioMpsc>(&name(PEERS[0]), of, time),
        Contender::tasks::<Flume>(&name(PEERS[1]), of, time),
        Contender::tasks::<Kanal>(&name(PEERS[2]), of, time),
        Contender::tasks::<Crossfire>(&name(PEERS[3]), of, time),
        Contender::tasks::<Rapidfire>(&name(PEERS[4]), of, time),
        Contender::tasks::<AsyncBroadcast>(&name(PEERS[5]), of, time),
        Contender::tasks::<Fanring>(&name(PEERS[6]), of, time),
        Contender::tasks::<FanringTogether>(&name(PEERS[7]), of, time),
    ]
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let time = bench.effort.merge;
    let all = TASKS.into_iter().flat_map(|tasks| contenders(tasks, time)).collect();
    let series = Series::run(all, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "40 and 64 asynchronous tasks into one, by recv_async, on a runtime with 2 threads, lossless";
    let mut section = bench.report.section("tasks", title, series)?;
    let (costs, rates): (Vec<String>, Vec<String>) =
        section.names().into_iter().partition(|name| name.ends_with(", cpu"));
    let rate = |nanoseconds: f64| 1e3 / nanoseconds;
    section.figures("M events/s, handled", &rates, rate);
    section.bars("M events/s", &rates, rate);
    section.figures("processor time of all threads, ns an event", &costs, |ns| ns);
    section.ratios("ratio of rates");
    for tasks in TASKS {
        let peers = PEERS.map(|peer| format!("{peer}, {tasks}"));
        for ours in OURS {
            section.best(&format!("{ours}, {tasks}"), &peers, Some(Target::AtLeast(1.3)));
        }
    }
    section.finish()
}
