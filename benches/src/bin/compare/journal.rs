//! Journals against the peers that send one stream to many consumers.
//!
//! Costs of publishing are sampled in separate processes, each built for one contender and one
//! number of subscribers; see `benches::alone`. Their flatness over the number of subscribers is
//! shown three times: in this way, and by processes that go through all numbers, upward and
//! downward.

use crate::Bench;
use crate::report;
use benches::alone::{Carried, Subject, Target};
use benches::paired::{Contender, Series};
use benches::peer::PhotonBounded;
use benches::publishers::Place;
use benches::route::lanes::Queued;
use benches::route::others::Disruptor;
use benches::route::spinning;
use benches::{publishers, read, stream};
use std::io;
use std::time::Duration;

const SUBSCRIBERS: [usize; 4] = [1, 4, 16, 64];
const DOWNWARDS: [usize; 4] = [64, 16, 4, 1];

const fn at_most(most: f64) -> Option<report::Target> {
    Some(report::Target::AtMost(most))
}

const fn at_least(least: f64) -> Option<report::Target> {
    Some(report::Target::AtLeast(least))
}

/// Returns each contender with each number of subscribers, in a separate process.
fn each_alone(contenders: &[(&str, Target)], carried: Carried, blocks: u64) -> Vec<Contender> {
    let with = |count| {
        let one = move |&(name, target): &(&str, Target)| {
            Contender::alone(name, Subject(target, carried), &[count], blocks)
        };
        contenders.iter().map(one)
    };
    SUBSCRIBERS.into_iter().flat_map(with).collect()
}

pub(crate) fn publish(bench: &mut Bench) -> io::Result<()> {
    let effort = &bench.effort;
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
    for name in ["photon", "shared photon"] {
        let key = |count| format!("journal-publish/{name}/{count}/{blocks}");
        contenders.extend(SUBSCRIBERS.iter().filter_map(|count| bench.native(&key(count))));
    }
    let series = Series::run(contenders, effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "Journal, publish cost: one thread, 32 bytes, each in a process of its own";
    let mut section = bench.report.section("journal-publish", title, series)?;
    let names = section.names();
    section.figures("ns", &names, |ns| ns);
    section.ratios("ratio of costs");
    for count in SUBSCRIBERS {
        for (ours, peer, target) in [
            ("journal", "tokio", at_most(0.25)),
            ("journal", "photon", at_most(1.0)),
            ("journal", "photon, native", at_most(1.0)),
            ("journal", "disruptor", None),
            ("shared journal", "tokio", None),
            ("shared journal", "shared photon", None),
            ("shared journal", "shared photon, native", None),
            ("shared journal", "journal", None),
            ("journal on a bus", "tokio", None),
            ("journal on a bus", "journal", None),
        ] {
            let peer = format!("{peer}/{count}");
            if section.has(&peer) {
                section.ratio(&format!("{ours}/{count}"), &peer, target);
            }
        }
    }
    section.ratios("ns");
    section.row("journal on a bus/1", ["journal on a bus/1"], |[ns]| ns, at_most(3.0));
    section.ratios("flatness: many subscribers / one");
    for (name, target) in [
        ("journal", at_most(1.1)),
        ("journal upwards", at_most(1.1)),
        ("journal downwards", at_most(1.1)),
        ("shared journal", None),
        ("shared journal upwards", None),
        ("shared journal downwards", None),
        ("journal on a bus", at_most(1.1)),
        ("tokio", None),
        ("photon", None),
        ("disruptor", None),
    ] {
        for count in &SUBSCRIBERS[1..] {
            section.ratio(&format!("{name}/{count}"), &format!("{name}/1"), target);
        }
    }
    // One subscriber, with as much of the processor's cache occupied as 64 subscribers occupy.
    section.ratio("journal, one of/64", "journal, one of/1", None);
    section.finish()
}

pub(crate) fn publish_with_destructors(bench: &mut Bench) -> io::Result<()> {
    let effort = &bench.effort;
    for (file, title, carried) in [
        ("looking", "32 bytes that look at themselves when dropped", Carried::Dropping),
        ("arc", "Arc<[u8]> of 32 bytes", Carried::Arc),
        ("string", "String of 24 bytes", Carried::String),
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
        let series = Series::run(contenders, effort.rounds, Duration::ZERO, &mut bench.ping);
        let title = format!("Journal, publish cost: one thread, {title}, each in a process of its own");
        let mut section = bench.report.section(&format!("journal-drop-{file}"), &title, series)?;
        let names = section.names();
        section.figures("ns", &names, |ns| ns);
        // A retained event is dropped by tokio's sender, as by a journal's; any other event is
        // dropped by its last receiver.
        section.ratios("ratio of costs, less the drop in both");
        for count in SUBSCRIBERS {
            for ours in ["journal", "shared journal"] {
                for peer in ["tokio, kept", "tokio", "photon events", "disruptor"] {
                    let target =
                        if (ours, peer) == ("journal", "tokio, kept") { at_most(0.25) } else { None };
                    let (a, b) = (format!("{ours}/{count}"), format!("{peer}/{count}"));
                    let less = |[a, b, drop]: [f64; 3]| (a - drop) / (b - drop);
                    section.row(&format!("{a} / {b}"), [&a, &b, "drop/0"], less, target);
                }
            }
        }
        section.ratios("ratio of costs, less the drop in ours");
        for count in SUBSCRIBERS {
            let (a, b) = (format!("journal/{count}"), format!("tokio/{count}"));
            let less = |[a, b, drop]: [f64; 3]| (a - drop) / b;
            section.row(&format!("{a} / {b}"), [&a, &b, "drop/0"], less, None);
        }
        section.ratios("flatness: many subscribers / one");
        for count in &SUBSCRIBERS[1..] {
            section.ratio(&format!("journal/{count}"), "journal/1", at_most(1.1));
        }
        section.finish()?;
    }
    Ok(())
}

pub(crate) fn reading(bench: &mut Bench) -> io::Result<()> {
    let effort = &bench.effort;
    let mut contenders = vec![Contender::read("slice", read::slice)];
    for count in [1, 64] {
        let name = |name: &str| format!("{name}/{count}");
        contenders.extend([
            Contender::read(&name("try_recv"), move || read::try_recv(count)),
            Contender::read(&name("try_recv_with"), move || read::try_recv_with(count)),
            Contender::read(&name("try_recv_slice"), move || read::try_recv_slice(count)),
            Contender::read(&name("tokio"), move || read::tokio(count)),
            Contender::read(&name("photon"), move || read::photon(count)),
            Contender::read(&name("photon batch"), move || read::photon_batch(count)),
        ]);
        let native = ["photon", "photon batch"].map(|peer| format!("journal-read/{peer}/{count}"));
        contenders.extend(native.iter().filter_map(|key| bench.native(key)));
    }
    let series = Series::run(contenders, effort.rounds, effort.cost, &mut bench.ping);
    let title = "Journal, what a reader pays: one thread, 32 bytes";
    let mut section = bench.report.section("journal-read", title, series)?;
    let names = section.names();
    section.figures("ns", &names, |ns| ns);
    section.ratios("ratio of costs");
    for count in [1, 64] {
        for (ours, peer, target) in [
            ("try_recv", "tokio", at_most(0.25)),
            ("try_recv_with", "tokio", at_most(0.25)),
            ("try_recv_slice", "tokio", at_most(0.125)),
            ("try_recv", "photon", None),
            ("try_recv", "photon, native", None),
            ("try_recv_slice", "photon batch", None),
            ("try_recv_slice", "photon batch, native", None),
        ] {
            let peer = format!("{peer}/{count}");
            if section.has(&peer) {
                section.ratio(&format!("{ours}/{count}"), &peer, target);
            }
        }
    }
    section.finish()
}

pub(crate) fn streaming(bench: &mut Bench) -> io::Result<()> {
    let effort = &bench.effort;
    let mut contenders = vec![
        Contender::stream("gated", stream::journal::gated),
        Contender::stream("gated, batches", stream::journal::gated_batches),
        Contender::stream("gated, batches, parking", stream::journal::gated_parking),
        Contender::stream("free", stream::journal::free),
        Contender::stream("free, batches", stream::journal::free_batches),
        Contender::stream("queue", || stream::pinned(Queued::SPINNING)),
        Contender::stream("ring::spsc", stream::ring),
        Contender::stream("photon bounded", || stream::pinned(spinning::<PhotonBounded>())),
        Contender::stream("photon bounded, batches", stream::photon),
        Contender::stream("photon free", stream::photon_free),
        Contender::stream("disruptor", || stream::pinned(Disruptor)),
        Contender::stream("tokio free", stream::tokio),
    ];
    let native = ["photon bounded", "photon bounded, batches", "photon free"];
    contenders.extend(native.iter().filter_map(|peer| bench.native(&format!("journal-stream/{peer}"))));
    let series = Series::run(contenders, effort.rounds, effort.stream, &mut bench.ping);
    let title = "Journal, stream: one publisher, one subscriber, what was delivered";
    let mut section = bench.report.section("journal-stream", title, series)?;
    let names = section.names();
    let (parts, rates): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.ends_with(", handled"));
    section.figures("M/s", &rates, |ns| 1e3 / ns);
    section.bars("M events/s", &rates, |ns| 1e3 / ns);
    let lossy: Vec<String> = parts.into_iter().filter(|name| name.contains("free")).collect();
    section.figures("part that was not lost", &lossy, |part| part);
    section.ratios("ratio of rates");
    for (ours, peers) in [
        ("gated", &["tokio free", "photon bounded", "photon bounded, native", "disruptor", "queue"][..]),
        (
            "gated, batches",
            &[
                "tokio free",
                "photon bounded, batches",
                "photon bounded, batches, native",
                "disruptor",
                "queue",
                "ring::spsc",
            ][..],
        ),
        ("gated, batches, parking", &["gated, batches"][..]),
        ("free", &["tokio free", "photon free", "photon free, native", "gated"][..]),
        ("free, batches", &["tokio free", "gated, batches"][..]),
    ] {
        for peer in peers {
            // For near processors; for far ones, 3 would be enough.
            let target =
                if ours.starts_with("gated") && *peer == "tokio free" { at_least(6.0) } else { None };
            if section.has(peer) {
                section.rates(ours, peer, target);
            }
        }
    }
    section.finish()
}

pub(crate) fn several_publishers(bench: &mut Bench) -> io::Result<()> {
    let effort = &bench.effort;
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
    let series = Series::run(contenders.collect(), effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "Journal, several publishers: no subscribers, each race for a fixed time";
    let mut section = bench.report.section("journal-publishers", title, series)?;
    let (mut costs, mut shares, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for name in section.names() {
        match name {
            share if share.ends_with(", share") => shares.push(share),
            run if run.ends_with(", run") => runs.push(run),
            cost => costs.push(cost),
        }
    }
    section.figures("ns an event, of all together", &costs, |ns| ns);
    section.ratios("ratio of costs");
    for (label, ..) in RACES {
        for peer in ["tokio", "photon", "behind a lock"] {
            let target = if peer == "tokio" { at_most(0.2) } else { None };
            section.ratio(&format!("journal, {label}"), &format!("{peer}, {label}"), target);
        }
    }
    section.figures("least share / greatest", &shares, |share| share);
    section.figures("events in a row by one publisher", &runs, |run| run);
    section.finish()
}
