//! A slice of a contender that is one per process: in a process of its own.

use super::{Shape, Slice, peers, run};
use crate::{histogram, machine};
use std::fmt::Write;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// The first argument of a process that measures a slice.
const FLAG: &str = "--in-place";

/// The contenders that are one per process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// [`peers::Ticklog`].
    Ticklog,
    /// [`peers::Appender`].
    Appender,
}

impl Alone {
    const ALL: [Self; 2] = [Self::Ticklog, Self::Appender];

    fn run(self, shape: Shape) -> Slice {
        match self {
            Self::Ticklog => run(peers::Ticklog, shape),
            Self::Appender => run(peers::Appender, shape),
        }
    }

    /// Measures a slice in another process.
    ///
    /// # Panics
    /// If the process cannot be started, or fails.
    #[must_use]
    pub fn ask(self, shape: Shape) -> Slice {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.args([FLAG, &format!("{self:?}")]);
        command.args([shape.publishers, shape.listeners].map(|count| count.to_string()));
        command.args([shape.interval, shape.slice].map(|time| time.as_nanos().to_string()));
        // A process inherits the processors of the thread that starts it.
        let (command, output) = machine::anywhere(move || {
            let output = command.output().expect("the program can be started again");
            (command, output)
        });
        let slice = Self::read(&String::from_utf8_lossy(&output.stdout));
        let complaint = String::from_utf8_lossy(&output.stderr);
        slice.filter(|_| output.status.success()).unwrap_or_else(|| panic!("{command:?}: {complaint}"))
    }

    /// Returns a slice as text: a line of figures, then a line for each duration and its count.
    pub(super) fn text(slice: &Slice) -> String {
        let mut text = slice.figures().map(|figure| figure.to_string()).join(" ");
        for step in slice.calls.iter_recorded() {
            let _ = write!(text, "\n{} {}", step.value_iterated_to(), step.count_at_value());
        }
        text
    }

    /// Returns the slice of such a text.
    pub(super) fn read(text: &str) -> Option<Slice> {
        let mut lines = text.lines();
        let figures: Result<Vec<f64>, _> = lines.next()?.split_whitespace().map(str::parse).collect();
        let [besides, lost, preempted, slept, interval] = figures.ok()?[..] else { return None };
        let mut calls = histogram::empty();
        for line in lines {
            let (value, count) = line.split_once(' ')?;
            calls.saturating_record_n(value.parse().ok()?, count.parse().ok()?);
        }
        Some(Slice { calls, besides, lost, preempted, slept, interval })
    }
}

/// Measures a slice, if the arguments of this process request that, and prints it. Call it before
/// anything else.
#[must_use]
pub fn answer(arguments: &[String]) -> Option<ExitCode> {
    let [flag, name, numbers @ ..] = arguments else { return None };
    if flag != FLAG {
        return None;
    }
    let contender = Alone::ALL.into_iter().find(|known| format!("{known:?}") == *name);
    let numbers: Result<Vec<u64>, _> = numbers.iter().map(|number| number.parse()).collect();
    let (Some(contender), Ok(numbers)) = (contender, numbers) else { return Some(ExitCode::from(2)) };
    let [publishers, listeners, interval, slice] = numbers[..] else { return Some(ExitCode::from(2)) };
    // Threads that are not pinned are started before any other.
    let _ = machine::processors();
    let shape = Shape {
        publishers: publishers as usize,
        listeners: listeners as usize,
        interval: Duration::from_nanos(interval),
        slice: Duration::from_nanos(slice),
    };
    println!("{}", Alone::text(&contender.run(shape)));
    Some(ExitCode::SUCCESS)
}
