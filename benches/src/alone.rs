//! A contender alone: in a process of its own, in which nothing else was built before it or stands
//! beside it.
//!
//! What one contender leaves behind concerns the next: what the allocator's lists look like, which
//! lines of memory are in the processor's cache, which pages are mapped where. So the program
//! starts itself anew for each sample, with arguments that say what to sample, and reads the
//! figures from its output. Where several numbers of receivers are asked for, that process samples
//! one after the other, and drops each before it builds the next: so the order in which they come
//! can be compared with having none.

use crate::cost::{self, Cost, journal, moved};
use crate::event::{Dropping, Payload};
use crate::machine;
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// The first argument of a process that samples.
const FLAG: &str = "--alone";

/// What is published into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `JournalWriter::publish`.
    Single,
    /// The same with one subscriber and as much other memory as so many use: see
    /// [`journal::single_beside`].
    SingleBeside,
    /// `Journal::publish`.
    Shared,
    /// A publisher of a bus with a journal on it.
    OnBus,
    /// `tokio::sync::broadcast`.
    Tokio,
    /// The same with a receiver that stands still: see [`moved::tokio_kept`].
    TokioKept,
    /// `photon-ring` with one publisher; for events with destructors its event channel.
    Photon,
    /// `photon-ring` for several publishers.
    PhotonShared,
    /// `disruptor`.
    Disruptor,
    /// Nothing: the harness, or the bare drop of the event.
    Nothing,
}

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// The event, made where it is published.
    Copy,
    /// [`Dropping`], moved in.
    Dropping,
    /// `Arc<[u8]>`, moved in.
    Arc,
    /// `String`, moved in.
    String,
}

/// What is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject(pub Target, pub Carried);

const TARGETS: [Target; 10] = [
    Target::Single,
    Target::SingleBeside,
    Target::Shared,
    Target::OnBus,
    Target::Tokio,
    Target::TokioKept,
    Target::Photon,
    Target::PhotonShared,
    Target::Disruptor,
    Target::Nothing,
];
const CARRIED: [Carried; 4] = [Carried::Copy, Carried::Dropping, Carried::Arc, Carried::String];

impl Subject {
    /// The cost of a publish with so many receivers, in nanoseconds.
    fn sample(self, receivers: usize, events: u64) -> f64 {
        match self.1 {
            Carried::Copy => self.sample_copies(receivers, events),
            Carried::Dropping => self.sample_moved::<Dropping>(receivers, events),
            Carried::Arc => self.sample_moved::<Arc<[u8]>>(receivers, events),
            Carried::String => self.sample_moved::<String>(receivers, events),
        }
    }

    fn sample_copies(self, receivers: usize, events: u64) -> f64 {
        match self.0 {
            Target::Single => sample(journal::single(receivers), events),
            Target::SingleBeside => sample(journal::single_beside(receivers), events),
            Target::Shared => sample(journal::shared(receivers), events),
            Target::OnBus => sample(journal::on_bus(receivers), events),
            Target::Tokio | Target::TokioKept => sample(cost::tokio(receivers), events),
            Target::Photon => sample(cost::photon(receivers), events),
            Target::PhotonShared => sample(cost::photon_shared(receivers), events),
            Target::Disruptor => sample(cost::disruptor(receivers), events),
            Target::Nothing => sample(cost::base(), events),
        }
    }

    fn sample_moved<E: Payload>(self, receivers: usize, events: u64) -> f64 {
        match self.0 {
            Target::Single | Target::SingleBeside => sample(moved::single::<E>(receivers), events),
            Target::Shared | Target::OnBus => sample(moved::shared::<E>(receivers), events),
            Target::Tokio => sample(moved::tokio::<E>(receivers), events),
            Target::TokioKept => sample(moved::tokio_kept::<E>(receivers), events),
            Target::Photon | Target::PhotonShared => sample(moved::photon::<E>(receivers), events),
            Target::Disruptor => sample(moved::disruptor::<E>(receivers), events),
            Target::Nothing => sample(moved::dropped::<E>(), events),
        }
    }
}

fn sample(contender: impl Cost, events: u64) -> f64 {
    cost::Meter::new(contender).sample(events)
}

/// Has another process sample, for each number of receivers in turn.
///
/// # Panics
/// When the process cannot be started, or fails.
#[must_use]
pub fn ask(subject: Subject, receivers: &[usize], events: u64) -> Vec<f64> {
    let program = std::env::current_exe().expect("a program knows its place");
    let list: Vec<String> = receivers.iter().map(usize::to_string).collect();
    let mut command = Command::new(program);
    command.args([FLAG, &format!("{subject:?}"), &list.join(","), &events.to_string()]);
    let output = command.output().expect("the program can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && figures.len() == receivers.len(), "{command:?}: {complaint}");
    figures
}

/// Samples, when the arguments of this process say so, and prints the figures. To be called before
/// anything else.
#[must_use]
pub fn answer(arguments: &[String]) -> Option<ExitCode> {
    let [flag, subject, receivers, events] = arguments else { return None };
    if flag != FLAG {
        return None;
    }
    let all = TARGETS.into_iter().flat_map(|target| CARRIED.map(|carried| Subject(target, carried)));
    let subject = all.into_iter().find(|known| format!("{known:?}") == *subject);
    let receivers: Option<Vec<usize>> = receivers.split(',').map(|count| count.parse().ok()).collect();
    let (Some(subject), Some(receivers), Ok(events)) = (subject, receivers, events.parse()) else {
        return Some(ExitCode::from(2));
    };
    // There is another thread, as in any program that has a use for all this: allocators know
    // whether there is one.
    let _ = machine::processors();
    for count in receivers {
        println!("{}", subject.sample(count, events));
    }
    Some(ExitCode::SUCCESS)
}
