//! A director with many members: `benches::members`, and `benches::cost::members`.

use crate::Bench;
use crate::report::Target;
use benches::alone::{Carried, Subject, Target as Subjects};
use benches::members::{
    ChannelEach, ChannelTasks, DirectorPolled, DirectorTasks, DirectorThreads, TokioTasks,
};
use benches::paired::{Contender, Series};
use std::io;
use std::time::Duration;

const MEMBERS: [usize; 4] = [1, 10, 100, 1000];
/// Members with a thread each.
const THREADS: [usize; 3] = [1, 10, 100];

const POLLED: &str = "director, outboxes polled";
const TASKS: &str = "director, a task each";
const NODES: &str = "director, a thread each";
const BROADCAST: &str = "tokio broadcast, a task each";
const CHANNELS: &str = "channels and a pump, polled";
const MPSC: &str = "tokio mpsc and a pump, a task each";

/// What a publish costs while all members are awake.
fn publish(bench: &Bench) -> Vec<Contender> {
    let blocks = bench.effort.blocks;
    let alone = |name, target, members: usize| {
        Contender::alone(name, Subject(target, Carried::Copy), &[members], blocks)
    };
    let each = |members| {
        [
            alone("director, publish", Subjects::Director, members),
            alone("director drained elsewhere, publish", Subjects::DirectorDrained, members),
            alone("tokio broadcast, publish", Subjects::Tokio, members),
            alone("channels without a pump, publish", Subjects::Channels, members),
        ]
    };
    MEMBERS.into_iter().flat_map(each).collect()
}

/// What everything costs together.
fn carry(bench: &Bench) -> Vec<Contender> {
    let events = bench.effort.delivered;
    let each = |members| {
        [
            Contender::members::<DirectorPolled>(POLLED, members, events),
            Contender::members::<DirectorTasks>(TASKS, members, events),
            Contender::members::<TokioTasks>(BROADCAST, members, events),
            Contender::members::<ChannelEach>(CHANNELS, members, events),
            Contender::members::<ChannelTasks>(MPSC, members, events),
        ]
    };
    MEMBERS.into_iter().flat_map(each).collect()
}

/// What a publish costs while all members are parked.
fn wake(bench: &Bench) -> Vec<Contender> {
    let events = bench.effort.wakes / 2;
    let name = |name: &str| format!("{name}, parked");
    let each = |members| {
        let threads = THREADS.contains(&members);
        let threads =
            threads.then(|| Contender::members_parked::<DirectorThreads>(&name(NODES), members, events));
        let tasks = [
            Contender::members_parked::<DirectorTasks>(&name(TASKS), members, events),
            Contender::members_parked::<TokioTasks>(&name(BROADCAST), members, events),
            Contender::members_parked::<ChannelTasks>(&name(MPSC), members, events),
        ];
        threads.into_iter().chain(tasks)
    };
    MEMBERS.into_iter().flat_map(each).collect()
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let contenders = [publish(bench), carry(bench), wake(bench)].into_iter().flatten().collect();
    let series = Series::run(contenders, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "Director: one publisher, every event to each of 1 to 1 000 members";
    let mut section = bench.report.section("director", title, series)?;
    let names = section.names();
    let of = |ending: &'static str| names.iter().filter(move |name| name.ends_with(ending));
    let publishes: Vec<_> = names.iter().filter(|name| name.contains(", publish/")).collect();
    let parked: Vec<_> =
        of(", p50").filter_map(|name| name.strip_suffix(", p50")).map(String::from).collect();
    let cpu: Vec<_> = of(", cpu").collect();
    let rates: Vec<_> = cpu.iter().filter_map(|name| name.strip_suffix(", cpu")).collect();
    section.figures("a publish with all members awake, ns", &publishes, |ns| ns);
    section.figures("everything together, ns for an event to all members", &rates, |ns| ns);
    section.figures("processor time of all threads, ns for an event to one member", &cpu, |ns| ns);
    section.percentiles("director-parked", "a publish with all members parked", &parked, "");
    section
        .figures("sleeps of all threads for an event", &of(", sleeps").collect::<Vec<_>>(), |sleeps| sleeps);
    section.ratios("a publish, ratio of costs");
    for members in MEMBERS {
        let ours = format!("director, publish/{members}");
        section.row(&format!("{ours}, ns"), [&ours], |[ns]| ns, Some(Target::AtMost(3.0)));
        section.ratio(&format!("director drained elsewhere, publish/{members}"), &ours, None);
        section.ratio(&ours, &format!("tokio broadcast, publish/{members}"), None);
        section.ratio(&ours, &format!("channels without a pump, publish/{members}"), None);
        if members > 1 {
            section.ratio(&ours, "director, publish/1", Some(Target::AtMost(1.1)));
        }
    }
    section.ratios("everything together, ratio of rates");
    for members in MEMBERS {
        for (ours, peer) in [(POLLED, CHANNELS), (POLLED, BROADCAST), (TASKS, BROADCAST), (TASKS, MPSC)] {
            section.rates(&format!("{ours}/{members}"), &format!("{peer}/{members}"), None);
        }
    }
    section.finish()
}
