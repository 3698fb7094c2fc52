//! A contender in another process, for each of its samples.
//!
//! - A contender that a process can have only once, as `ticklog`, has a process for each sample.
//! - A contender of another build of this program, as one for the processor of this machine
//!   (`-C target-cpu=native`), is sampled between those of this build.
//! - A contender with one processor has a process that was started with one, so that it counts one,
//!   as in a service of that kind.
//!
//! Both processes make the contender by the same key, and the other one prints the figures of one
//! sample.

use crate::histogram;
use crate::machine::{anywhere, pin_consumer, pin_producer, processors};
use crate::paired::{Contender, Sampled};
use hdrhistogram::Histogram;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

/// The first argument of a process that samples.
const FLAG: &str = "--elsewhere";

/// The processors of the other process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processors {
    /// All processors of this process.
    All,
    /// One of them: a waiting thread must let another thread run.
    One,
}

/// Samples the contender with this key in a process of `program`.
///
/// # Panics
/// If the process cannot be started, or fails.
pub(crate) fn ask(program: &Path, processors: Processors, key: &str, events: u64) -> Sampled {
    let mut command = Command::new(program);
    command.args([FLAG, key, &events.to_string()]);
    let (command, output) = run(command, processors);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Runs the command to its end, in a process with these processors.
fn run(mut command: Command, processors: Processors) -> (Command, Output) {
    // A process inherits the processors of the thread that starts it.
    anywhere(move || {
        if processors == Processors::One {
            pin_consumer();
        }
        let output = command.output().expect("the program can be started");
        (command, output)
    })
}

/// Samples, if the arguments of this process request that, and prints the sample. Call it before
/// anything else. `find` makes the contender with a key.
#[must_use]
pub fn answer(arguments: &[String], find: impl FnOnce(&str) -> Option<Contender>) -> Option<ExitCode> {
    let [flag, key, events] = arguments else { return None };
    if flag != FLAG {
        return None;
    }
    // Before a thread is pinned: see `machine`.
    let _ = processors();
    pin_producer();
    let (Some(mut contender), Ok(events)) = (find(key), events.parse()) else {
        return Some(ExitCode::from(2));
    };
    print!("{}", format(&contender.sample(events)));
    Some(ExitCode::SUCCESS)
}

/// Writes the figures on one line, and each histogram on a line of its own.
fn format(sampled: &Sampled) -> String {
    let figures: Vec<String> = sampled.figures.iter().map(f64::to_string).collect();
    let mut text = figures.join(" ");
    text.push('\n');
    for histogram in &sampled.histograms {
        let recorded = histogram.iter_recorded();
        let values: Vec<String> =
            recorded.map(|step| format!("{}:{}", step.value_iterated_to(), step.count_at_value())).collect();
        text.push_str(&values.join(" "));
        text.push('\n');
    }
    text
}

fn parse(text: &str) -> Sampled {
    let mut lines = text.lines();
    let figures = lines.next().unwrap_or_default().split(' ').filter_map(|figure| figure.parse().ok());
    let figures = figures.collect();
    Sampled { figures, histograms: lines.map(parse_histogram).collect() }
}

fn parse_histogram(line: &str) -> Histogram<u64> {
    let mut histogram = histogram::empty();
    for (value, count) in line.split(' ').filter_map(|step| step.split_once(':')) {
        if let (Ok(value), Ok(count)) = (value.parse(), count.parse()) {
            histogram.saturating_record_n(value, count);
        }
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::{format, parse};
    use crate::histogram;
    use crate::paired::Sampled;

    #[test]
    fn sample_survives_its_way_as_text() {
        let mut first = histogram::empty();
        [1, 1, 700, 123_456_789].into_iter().for_each(|value| first.saturating_record(value));
        let sampled = Sampled { figures: vec![1.5, 0.25], histograms: vec![first, histogram::empty()] };
        let parsed = parse(&format(&sampled));
        assert_eq!(parsed.figures, sampled.figures);
        assert_eq!(parsed.histograms, sampled.histograms);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn one_processor_is_all_that_the_process_has() {
        use super::{Processors, run};
        use std::process::Command;
        let count = |processors| {
            let (_, output) = run(Command::new("nproc"), processors);
            String::from_utf8_lossy(&output.stdout).trim().parse::<usize>().expect("a number")
        };
        if crate::machine::processors().is_some() {
            assert_eq!(count(Processors::One), 1);
            assert!(count(Processors::All) > 1);
        }
    }
}
