//! Journals against the peers that hand one stream to many.
//!
//! Costs of publishing are sampled in processes of their own, each built for one contender and one number of subscribers; see
//! `benches::alone`. How flat they are over the number of subscribers is shown three times: so, and by processes that go
//! through all numbers, upwards and downwards.

use crate::Effort;
use crate::table::{absolute, head, ratio, ratios, row};
use benches::alone::{Carried, Subject, Target};
use benches::machine::Ping;
use benches::paired::{Contender, Series};
use benches::publishers::Place;
use benches::{publishers, read, stream};
use buslane::WaitStrategy;
use std::time::Duration;

type Part = fn(&Effort, &mut Ping);

/// What can be compared, in the order in which it is.
pub(crate) const PARTS: [(&str, Part); 5] = [
    ("publish", publish),
    ("drop", publish_with_destructors),
    ("read", reading),
    ("stream", streaming),
    ("publishers", several_publishers),
];

/// The parts with these names; all, if there are none. `None` when one is not known.
pub(crate) fn parts(names: &[String]) -> Option<Vec<Part>> {
    if names.is_empty() {
        return Some(PARTS.map(|(_, part)| part).to_vec());
    }
    let find = |name: &String| PARTS.iter().find(|(known, _)| known == name).map(|(_, part)| *part);
    names.iter().map(find).collect()
}

const SUBSCRIBERS: [usize; 4] = [1, 4, 16, 64];
const DOWNWARDS: [usize; 4] = [64, 16, 4, 1];

/// Each contender with each number of subscribers, in a process of its own.
fn each_alone(contenders: &[(&str, Target)], carried: Carried, blocks: u64) -> Vec<Contender> {
    let with = |count| {
        let one = move |&(name, target): &(&str, Target)| {
            Contender::alone(name, Subject(target, carried), &[count], blocks)
        };
        contenders.iter().map(one)
    };
    SUBSCRIBERS.into_iter().flat_map(with).collect()
}

fn publish(effort: &Effort, ping: &mut Ping) {
    let blocks = effort.blocks;
    let alone = |name, target, counts: &[usize]| {
        Contender::alone(name, Subject(target, Carried::Copy), counts, blocks)
    };
    let mut contenders = vec![alone("base", Target::Nothing, &[0])];
    contenders.extend(each_alone(
        &[
            ("journal", Target::Single),
            ("shared journal", Target::Shared),
            ("journal on a bus", Target::OnBus),
            ("tokio", Target::Tokio),
            ("photon", Target::Photon),
            ("shared photon", Target::PhotonShared),
            ("disruptor", Target::Disruptor),
        ],
        Carried::Copy,
        blocks,
    ));
    contenders.extend([
        alone("journal, one of", Target::SingleBeside, &[1]),
        alone("journal, one of", Target::SingleBeside, &[64]),
        alone("journal upwards", Target::Single, &SUBSCRIBERS),
        alone("journal downwards", Target::Single, &DOWNWARDS),
        alone("shared journal upwards", Target::Shared, &SUBSCRIBERS),
        alone("shared journal downwards", Target::Shared, &DOWNWARDS),
    ]);
    let series = Series::run(contenders, effort.rounds, Duration::ZERO, ping);
    head("publish, one thread, 32 bytes, each in a process of its own", &series);
    absolute(&series, &series.names(), "ns", |ns| ns);
    ratios("ratio of costs");
    for count in SUBSCRIBERS {
        let ratio = |a: &str, b: &str| ratio(&series, &format!("{a}/{count}"), &format!("{b}/{count}"));
        for peer in ["tokio", "photon", "disruptor"] {
            ratio("journal", peer);
        }
        for peer in ["tokio", "shared photon", "journal"] {
            ratio("shared journal", peer);
        }
        ratio("journal on a bus", "tokio");
    }
    ratios("flatness: many subscribers / one");
    for name in [
        "journal",
        "journal upwards",
        "journal downwards",
        "shared journal",
        "shared journal upwards",
        "shared journal downwards",
        "tokio",
        "photon",
        "disruptor",
    ] {
        for count in &SUBSCRIBERS[1..] {
            ratio(&series, &format!("{name}/{count}"), &format!("{name}/1"));
        }
    }
    // One subscriber that has as much of the processor's cache taken from it as 64 have.
    ratio(&series, "journal, one of/64", "journal, one of/1");
}

fn publish_with_destructors(effort: &Effort, ping: &mut Ping) {
    for (title, carried) in [
        ("32 bytes that look at themselves when dropped", Carried::Dropping),
        ("Arc<[u8]> of 32 bytes", Carried::Arc),
        ("String of 24 bytes", Carried::String),
    ] {
        let drop = Contender::alone("drop", Subject(Target::Nothing, carried), &[0], effort.blocks);
        let mut contenders = vec![drop];
        contenders.extend(each_alone(
            &[
                ("journal", Target::Single),
                ("shared journal", Target::Shared),
                ("tokio", Target::Tokio),
                ("tokio, kept", Target::TokioKept),
                ("photon events", Target::Photon),
                ("disruptor", Target::Disruptor),
            ],
            carried,
            effort.blocks,
        ));
        let series = Series::run(contenders, effort.rounds, Duration::ZERO, ping);
        head(&format!("publish, one thread, {title}, each in a process of its own"), &series);
        absolute(&series, &series.names(), "ns", |ns| ns);
        // What is kept is dropped by tokio's sender, as by a journal's; what is not, by its last receiver.
        ratios("ratio of costs, less the drop in both");
        for count in SUBSCRIBERS {
            for ours in ["journal", "shared journal"] {
                for peer in ["tokio, kept", "tokio", "photon events", "disruptor"] {
                    let (a, b) = (format!("{ours}/{count}"), format!("{peer}/{count}"));
                    let less = series.estimate([&a, &b, "drop/0"], |[a, b, drop]| (a - drop) / (b - drop));
                    row(&format!("{a} / {b}"), less);
                }
            }
        }
        ratios("ratio of costs, less the drop in ours");
        for count in SUBSCRIBERS {
            let (a, b) = (format!("journal/{count}"), format!("tokio/{count}"));
            let less = series.estimate([&a, &b, "drop/0"], |[a, b, drop]| (a - drop) / b);
            row(&format!("{a} / {b}"), less);
        }
        ratios("flatness: many subscribers / one");
        for count in &SUBSCRIBERS[1..] {
            ratio(&series, &format!("journal/{count}"), "journal/1");
        }
    }
}

fn reading(effort: &Effort, ping: &mut Ping) {
    let mut contenders = vec![Contender::read("slice", read::slice)];
    for count in [1, 64] {
        let name = |name: &str| format!("{name}/{count}");
        contenders.extend([
            Contender::read(&name("try_recv"), move || read::try_recv(count)),
            Contender::read(&name("try_recv_with"), move || read::try_recv_with(count)),
            Contender::read(&name("try_recv_batch"), move || read::try_recv_batch(count)),
            Contender::read(&name("tokio"), move || read::tokio(count)),
            Contender::read(&name("photon"), move || read::photon(count)),
            Contender::read(&name("photon batch"), move || read::photon_batch(count)),
        ]);
    }
    let series = Series::run(contenders, effort.rounds, effort.cost, ping);
    head("reading, one thread, 32 bytes", &series);
    absolute(&series, &series.names(), "ns", |ns| ns);
    ratios("ratio of costs");
    for count in [1, 64] {
        for (ours, peer) in [
            ("try_recv", "tokio"),
            ("try_recv_with", "tokio"),
            ("try_recv_batch", "tokio"),
            ("try_recv", "photon"),
            ("try_recv_batch", "photon batch"),
        ] {
            ratio(&series, &format!("{ours}/{count}"), &format!("{peer}/{count}"));
        }
    }
}

fn streaming(effort: &Effort, ping: &mut Ping) {
    let contenders = vec![
        Contender::stream("gated", stream::journal::gated),
        Contender::stream("gated, batches", stream::journal::gated_batches),
        Contender::stream("gated, batches, parking", stream::journal::gated_parking),
        Contender::stream("free", stream::journal::free),
        Contender::stream("free, batches", stream::journal::free_batches),
        Contender::stream("queue", || stream::queue_trying(WaitStrategy::BusySpin)),
        Contender::stream("ring::spsc", stream::ring),
        Contender::stream("photon bounded", stream::photon_singly),
        Contender::stream("photon bounded, batches", stream::photon),
        Contender::stream("photon free", stream::photon_free),
        Contender::stream("disruptor", stream::disruptor),
        Contender::stream("tokio free", stream::tokio),
    ];
    let series = Series::run(contenders, effort.rounds, effort.stream, ping);
    head("stream, one publisher, one subscriber, what was delivered", &series);
    absolute(&series, &series.names(), "M/s", |ns| 1e3 / ns);
    ratios("ratio of rates");
    for (ours, peers) in [
        ("gated", &["tokio free", "photon bounded", "disruptor", "queue"][..]),
        (
            "gated, batches",
            &["tokio free", "photon bounded, batches", "disruptor", "queue", "ring::spsc"][..],
        ),
        ("gated, batches, parking", &["gated, batches"][..]),
        ("free", &["tokio free", "photon free", "gated"][..]),
        ("free, batches", &["tokio free", "gated, batches"][..]),
    ] {
        for peer in peers {
            // Nanoseconds an event: the peer's over ours are our rate over the peer's.
            row(&format!("{ours} / {peer}"), series.estimate([ours, peer], |[ours, peer]| peer / ours));
        }
    }
}

fn several_publishers(effort: &Effort, ping: &mut Ping) {
    const RACES: [(&str, usize, Place); 3] =
        [("2 pinned", 2, Place::Pinned), ("2", 2, Place::Anywhere), ("4", 4, Place::Anywhere)];
    const NAMES: [&str; 4] = ["journal", "behind a lock", "tokio", "photon"];
    let race = effort.race;
    let contenders = RACES.into_iter().flat_map(|(label, count, place)| {
        let name = |index: usize| format!("{}, {label}", NAMES[index]);
        [
            Contender::publishers(&name(0), (count, place), race, publishers::journal),
            Contender::publishers(&name(1), (count, place), race, publishers::locked),
            Contender::publishers(&name(2), (count, place), race, publishers::tokio),
            Contender::publishers(&name(3), (count, place), race, publishers::photon),
        ]
    });
    let series = Series::run(contenders.collect(), effort.rounds, Duration::ZERO, ping);
    head("several publishers, nobody reads, each race for a fixed time", &series);
    let (mut costs, mut shares, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for name in series.names() {
        match name {
            share if share.ends_with(", share") => shares.push(share),
            run if run.ends_with(", run") => runs.push(run),
            cost => costs.push(cost),
        }
    }
    absolute(&series, &costs, "ns an event, of all together", |ns| ns);
    ratios("ratio of costs");
    for (label, ..) in RACES {
        for peer in ["tokio", "photon", "behind a lock"] {
            ratio(&series, &format!("journal, {label}"), &format!("{peer}, {label}"));
        }
    }
    absolute(&series, &shares, "least share / greatest", |share| share);
    absolute(&series, &runs, "events in a row by one publisher", |run| run);
}
