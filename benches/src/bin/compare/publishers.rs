//! Several publishers into one consumer: `benches::merge`.

use crate::report::{Section, Target};
use crate::{Bench, Effort};
use benches::merge::Processors;
use benches::paired::{Contender, Series};
use benches::peer::{Crossbeam, Flume, Kanal, Std, Thingbuf, TokioMpsc};
use benches::route::lanes::{Queued, Received, Shared};
use benches::route::others::{Appender, DisruptorMulti};
use benches::route::{Route, waiting};
use std::io;
use std::time::Duration;

const QUEUE: &str = "buslane queue";
const RECEIVER: &str = "buslane receiver";
/// The peers that "the best" refers to.
const BEST_OF: [&str; 6] = ["crossbeam-channel", "kanal", "flume", "thingbuf", "std", "disruptor multi"];
const OTHERS: [&str; 3] = ["buslane, Bus::publish", "tokio mpsc", "tracing-appender"];

/// Returns every contender with `publishers` publishers.
fn contenders(publishers: usize, processors: Processors, duration: Duration) -> Vec<Contender> {
    fn name(contender: &str, publishers: usize) -> String {
        format!("{contender}, {publishers}")
    }
    let one = |contender: &str| name(contender, publishers);
    fn merge<R: Route>(
        name: &str,
        (of, time): ((usize, Processors), Duration),
        make: fn() -> R,
    ) -> Contender {
        Contender::merge(name, of, time, make)
    }
    let of = ((publishers, processors), duration);
    vec![
        merge(&one(QUEUE), of, || Queued::DEFAULT),
        merge(&one(RECEIVER), of, || Received::DEFAULT),
        merge(&one(OTHERS[0]), of, || Shared),
        merge(&one(BEST_OF[0]), of, waiting::<Crossbeam>),
        merge(&one(BEST_OF[1]), of, waiting::<Kanal>),
        merge(&one(BEST_OF[2]), of, waiting::<Flume>),
        merge(&one(BEST_OF[3]), of, waiting::<Thingbuf>),
        merge(&one(BEST_OF[4]), of, waiting::<Std>),
        merge(&one(BEST_OF[5]), of, || DisruptorMulti),
        merge(&one(OTHERS[1]), of, waiting::<TokioMpsc>),
        merge(&one(OTHERS[2]), of, || Appender),
    ]
}

fn tables(section: &mut Section<'_>) {
    let names = section.names();
    let of =
        |end: &str| -> Vec<String> { names.iter().filter(|name| name.ends_with(end)).cloned().collect() };
    let (costs, shares) = (of(", cpu"), of(", share"));
    let rates: Vec<String> =
        names.iter().filter(|name| !costs.contains(name) && !shares.contains(name)).cloned().collect();
    let rate = |nanoseconds: f64| 1e3 / nanoseconds;
    section.figures("M events/s, handled", &rates, rate);
    section.bars("M events/s", &rates, rate);
    section.figures("processor time of all threads, ns an event", &costs, |ns| ns);
    section.figures("least publisher / greatest", &shares, |share| share);
}

/// Adds the ratio of rates to the best of the peers, round by round.
fn best(section: &mut Section<'_>, ours: &str, count: usize, target: Option<Target>) {
    let ours = format!("{ours}, {count}");
    let peers = BEST_OF.map(|peer| format!("{peer}, {count}"));
    let [a, b, c, d, e, f] = peers.each_ref().map(String::as_str);
    let ratio = |[ours, peers @ ..]: [f64; 7]| peers.into_iter().fold(f64::INFINITY, f64::min) / ours;
    section.row(&format!("{ours} / the best"), [&ours, a, b, c, d, e, f], ratio, target);
}

fn each(section: &mut Section<'_>, count: usize) {
    for peer in BEST_OF.iter().chain(&OTHERS) {
        section.rates(&format!("{QUEUE}, {count}"), &format!("{peer}, {count}"), None);
    }
}

fn measure(bench: &mut Bench, counts: &[usize], processors: Processors) -> Series {
    let Effort { rounds, merge, .. } = bench.effort;
    let all = counts.iter().flat_map(|count| contenders(*count, processors, merge)).collect();
    Series::run(all, rounds, Duration::ZERO, &mut bench.ping)
}

/// Measures two and four publishers.
pub(crate) fn few(bench: &mut Bench) -> io::Result<()> {
    let series = measure(bench, &[2, 4], Processors::All);
    let title = "Several publishers into one consumer: default waiting, not pinned, lossless";
    let mut section = bench.report.section("publishers", title, series)?;
    tables(&mut section);
    for (count, target) in [(2, 1.5), (4, 3.0)] {
        section.ratios("ratio of rates");
        best(&mut section, QUEUE, count, Some(Target::AtLeast(target)));
        best(&mut section, RECEIVER, count, None);
        each(&mut section, count);
    }
    section.finish()
}

/// Measures two, four and eight threads, including the consumer's.
pub(crate) fn many(bench: &mut Bench) -> io::Result<()> {
    let series = measure(bench, &[1, 3, 7], Processors::All);
    let title = "2, 4 and 8 threads: 1, 3 and 7 publishers into one consumer, default waiting, not pinned";
    let mut section = bench.report.section("oversubscription", title, series)?;
    tables(&mut section);
    for count in [1, 3, 7] {
        section.ratios("ratio of rates");
        best(&mut section, QUEUE, count, None);
        each(&mut section, count);
    }
    section.ratios("ratio of processor time");
    for count in [1, 3, 7] {
        for peer in BEST_OF {
            section.ratio(&format!("{QUEUE}, {count}, cpu"), &format!("{peer}, {count}, cpu"), None);
        }
    }
    section.finish()
}

/// Measures all threads on one processor.
pub(crate) fn on_one(bench: &mut Bench) -> io::Result<()> {
    let series = measure(bench, &[1, 4], Processors::One);
    let title = "1 and 4 publishers into one consumer, all on one processor, default waiting";
    let mut section = bench.report.section("one-processor", title, series)?;
    tables(&mut section);
    for count in [1, 4] {
        section.ratios("ratio of rates");
        best(&mut section, QUEUE, count, None);
        best(&mut section, RECEIVER, count, None);
        each(&mut section, count);
    }
    section.finish()
}
