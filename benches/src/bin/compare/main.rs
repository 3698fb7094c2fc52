//! `buslane` next to its peers: ratios with their 95 % intervals, and latencies by percentile.
//!
//! ```text
//! cargo run -p benches --profile bench --bin compare -- [--quick] [--out DIR] [SECTION]…
//! ```
//! Without a section, all sections except `in-place`, `requests`, `director` and the journal's run, on a machine with
//! two otherwise idle processors. `benches::paired` documents how the samples are taken, and the module that each
//! section names documents what they contain. With `--out`, every section is written as
//! `DIR/SECTION.md`, with plots next to it as SVG. All samples, including the dropped ones, go to
//! `DIR/samples.jsonl` as lines of JSON.
//!
//! A ratio of costs below 1, and a ratio of rates above 1, is in favor of `buslane`.

mod apart;
mod asleep;
mod churn;
mod director;
mod idle;
mod in_place;
mod journal;
mod latency;
mod logging;
mod machine;
mod plot;
mod publish;
mod publishers;
mod publishing;
mod quota;
mod reading;
mod report;
mod requests;
mod sizes;
mod stream;
mod tasks;

use benches::machine::{NEAR, Ping, pin_producer, placement, processors};
use benches::{CAPACITY, alone, elsewhere};
use clap::builder::RangedU64ValueParser;
use clap::{Parser, ValueEnum};
use report::Report;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Accepts the valid numbers of publishers. Where 1024 events are the room of all lanes together, a
/// lane then has room for at least 16.
fn counts() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=64)
}

#[derive(Debug, Parser)]
#[command(about = "Compares buslane with its peers.")]
struct Arguments {
    /// Fewer and shorter samples.
    #[arg(long)]
    quick: bool,
    /// Writes tables, samples and plots into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The number of samples of every contender; a pair for each.
    #[arg(long)]
    rounds: Option<usize>,
    /// The numbers of publishers in the sections `publishers` and `publishers-spinning`.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16], value_parser = counts())]
    publishers: Vec<usize>,
    /// Another build of this program, for the processor of this machine; see `benches`.
    #[arg(long, value_name = "PROGRAM")]
    native: Option<PathBuf>,
    /// The program of the section `requests`: a release build of the demo `telemetry`.
    #[arg(long, value_name = "PROGRAM")]
    telemetry: Option<PathBuf>,
    /// The sections to measure.
    #[arg(value_enum)]
    sections: Vec<Name>,
}

/// The sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The cost of a publish while there is room.
    Publish,
    /// From one publisher to one consumer, both pinned.
    Stream,
    /// The same without pinning, for contenders that wait by themselves.
    Waiting,
    /// From one publisher, by each call that takes events, both pinned and spinning.
    Reading,
    /// The same with the default waiting, without pinning.
    ReadingWaiting,
    /// By each call that publishes, both pinned, the consumer spinning.
    Publishing,
    /// The same with the default waiting, without pinning.
    PublishingWaiting,
    /// Several publishers with the default waiting, without pinning.
    Publishers,
    /// The same where no thread ever sleeps.
    PublishersSpinning,
    /// More and more threads on two processors, and their cost.
    Oversubscription,
    /// Several publishers and their consumer on one processor.
    OneProcessor,
    /// Several publishers and their consumer in a quota of one processor.
    Quota,
    /// The cost of a publish whose consumer is parked.
    Asleep,
    /// The latency of events.
    Latency,
    /// The latency of events beside idle publishers.
    Idle,
    /// Many asynchronous tasks into one.
    Tasks,
    /// The cost of a publish of larger events.
    SizesPublish,
    /// From one publisher to one consumer, larger events.
    SizesStream,
    /// Single publishes in the middle of requests, with cold caches.
    InPlace,
    /// The latency of a service's requests, by the bus of its telemetry.
    Requests,
    /// The effect of added and removed sinks on publishers.
    Churn,
    /// The cost of a line of a log for the thread that logs it.
    Logging,
    /// A director with many members.
    Director,
    /// All five sections of the journal.
    Journal,
    /// The cost of a publish into a journal.
    JournalPublish,
    /// The same, of events with destructors.
    JournalDrop,
    /// The cost of reading from a journal.
    JournalRead,
    /// From one publisher to one subscriber.
    JournalStream,
    /// Several publishers of one journal.
    JournalPublishers,
}

/// The amount of measurement.
struct Effort {
    /// Fewer rows, where a section has many.
    quick: bool,
    rounds: usize,
    cost: Duration,
    stream: Duration,
    /// The number of blocks of a sample in a separate process.
    blocks: u64,
    race: Duration,
    /// The duration for several publishers into one consumer: many turns of the scheduler.
    merge: Duration,
    /// The number of events of a sample with a parked consumer.
    wakes: u64,
    /// The duration of events sent by the clock.
    paced: Duration,
    /// The number of events of a sample to one member, over all members.
    delivered: u64,
}

impl Effort {
    fn new(quick: bool, rounds: Option<usize>) -> Self {
        let millis = Duration::from_millis;
        let mut effort = if quick {
            Self {
                quick,
                rounds: 9,
                cost: millis(2),
                stream: millis(6),
                blocks: 64,
                race: millis(20),
                merge: millis(30),
                wakes: 100,
                paced: millis(20),
                delivered: 200_000,
            }
        } else {
            Self {
                quick,
                rounds: 31,
                cost: millis(12),
                stream: millis(40),
                blocks: 256,
                race: millis(100),
                merge: millis(100),
                wakes: 400,
                paced: millis(100),
                delivered: 1_000_000,
            }
        };
        effort.rounds = rounds.unwrap_or(effort.rounds);
        effort
    }
}

/// The parameters of every section.
struct Bench {
    effort: Effort,
    ping: Ping,
    report: Report,
    /// The numbers of publishers.
    publishers: Vec<usize>,
    /// The build for the processor of this machine.
    native: Option<PathBuf>,
    /// The service of the section `requests`.
    telemetry: Option<PathBuf>,
}

const ALL: [Name; 20] = [
    Name::Publish,
    Name::Stream,
    Name::Waiting,
    Name::Reading,
    Name::ReadingWaiting,
    Name::Publishing,
    Name::PublishingWaiting,
    Name::Publishers,
    Name::PublishersSpinning,
    Name::Oversubscription,
    Name::OneProcessor,
    Name::Quota,
    Name::Asleep,
    Name::Latency,
    Name::Idle,
    Name::Tasks,
    Name::SizesPublish,
    Name::SizesStream,
    Name::Churn,
    Name::Logging,
];

impl Name {
    fn run(self, bench: &mut Bench) -> io::Result<()> {
        match self {
            Self::Publish => publish::run(bench),
            Self::Stream => stream::pinned(bench),
            Self::Waiting => stream::waiting(bench),
            Self::Reading => reading::pinned(bench),
            Self::ReadingWaiting => reading::anywhere(bench),
            Self::Publishing => publishing::pinned(bench),
            Self::PublishingWaiting => publishing::anywhere(bench),
            Self::Publishers => publishers::few(bench),
            Self::PublishersSpinning => publishers::spin(bench),
            Self::Oversubscription => publishers::many(bench),
            Self::OneProcessor => publishers::on_one(bench),
            Self::Quota => quota::run(bench),
            Self::Asleep => asleep::run(bench),
            Self::Latency => latency::run(bench),
            Self::Idle => idle::run(bench),
            Self::Tasks => tasks::run(bench),
            Self::SizesPublish => sizes::publish(bench),
            Self::SizesStream => sizes::streaming(bench),
            Self::InPlace => in_place::run_section(bench),
            Self::Requests => requests::run(bench),
            Self::Churn => churn::run(bench),
            Self::Logging => logging::run(bench),
            Self::Director => director::run(bench),
            Self::Journal => {
                journal::publish(bench)?;
                journal::publish_with_destructors(bench)?;
                journal::reading(bench)?;
                journal::streaming(bench)?;
                journal::several_publishers(bench)
            }
            Self::JournalPublish => journal::publish(bench),
            Self::JournalDrop => journal::publish_with_destructors(bench),
            Self::JournalRead => journal::reading(bench),
            Self::JournalStream => journal::streaming(bench),
            Self::JournalPublishers => journal::several_publishers(bench),
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let elsewhere = || elsewhere::answer(&words, apart::find);
    let in_place = || benches::in_place::alone::answer(&words);
    if let Some(code) = alone::answer(&words).or_else(elsewhere).or_else(in_place) {
        return code;
    }
    let Arguments { quick, out, rounds, publishers, native, telemetry, mut sections } = Arguments::parse();
    if sections.is_empty() {
        sections = ALL.to_vec();
    }
    let Some((producer, consumer)) = processors() else {
        eprintln!("this program needs two processors");
        return ExitCode::FAILURE;
    };
    let compare = || -> io::Result<()> {
        let report = Report::new(machine::describe(), out)?;
        let effort = Effort::new(quick, rounds);
        let mut bench = Bench { effort, ping: Ping::new(), report, publishers, native, telemetry };
        pin_producer();
        let now = bench.ping.measure();
        println!("Processors {} and {}: {now:.0} ns one way, {}.", producer.id, consumer.id, placement(now));
        if bench.native.is_none() {
            println!("No build for this processor (--native): its rows are skipped.");
        }
        println!(
            "Near: below {NEAR:.0} ns. Intervals: 95 %, bootstrap. Event: 32 bytes. Capacity: {CAPACITY}."
        );
        sections.into_iter().try_for_each(|section| section.run(&mut bench))?;
        let now = bench.ping.measure();
        println!("\nAt the end: {now:.0} ns one way, {}.", placement(now));
        Ok(())
    };
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
