//! A contender alone in a separate process, in which no other contender was built before or exists
//! at the same time.
//!
//! A contender leaves effects for the next one: the state of the allocator's lists, the cache lines
//! in the processor's cache, the mapping of pages. So the program starts itself again for each
//! sample, with arguments that select the sample, and reads the figures from its output. For
//! several numbers of receivers, that process samples them in sequence, and drops each before it
//! builds the next: so an effect of their order can be compared with none.

use crate::cost::{self, Cost, journal, members, moved};
use crate::event::{Dropping, Payload};
use crate::machine;
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// The first argument of a process that samples.
const FLAG: &str = "--alone";

/// The contender that is published into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `JournalWriter::publish`.
    Single,
    /// The same with one subscriber and as much other memory as that many subscribers use: see
    /// [`journal::single_beside`].
    SingleBeside,
    /// `Journal::publish`.
    Shared,
    /// A publisher of a bus with a journal on it.
    OnBus,
    /// `tokio::sync::broadcast`.
    Tokio,
    /// The same with a stalled receiver: see [`moved::tokio_kept`].
    TokioKept,
    /// `photon-ring` with one publisher; for events with destructors its event channel.
    Photon,
    /// `photon-ring` for several publishers.
    PhotonShared,
    /// `disruptor`.
    Disruptor,
    /// `Member::broadcast` of a director: see [`members::director`].
    Director,
    /// The same with another thread that drains: see [`members::director_drained_elsewhere`].
    DirectorDrained,
    /// A publisher of a bus with a channel for each receiver: see [`members::channels`].
    Channels,
    /// Nothing: the harness, or the bare drop of the event.
    Nothing,
}

/// The published event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// The event, created where it is published.
    Copy,
    /// [`Dropping`], moved in.
    Dropping,
    /// `Arc<[u8]>`, moved in.
    Arc,
    /// `String`, moved in.
    String,
}

/// The subject of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject(pub Target, pub Carried);

const TARGETS: [Target; 13] = [
    Target::Single,
    Target::SingleBeside,
    Target::Shared,
    Target::OnBus,
    Target::Tokio,
    Target::TokioKept,
    Target::Photon,
    Target::PhotonShared,
    Target::Disruptor,
    Target::Director,
    Target::DirectorDrained,
    Target::Channels,
    Target::Nothing,
];
const CARRIED: [Carried; 4] = [Carried::Copy, Carried::Dropping, Carried::Arc, Carried::String];

impl Subject {
    /// Returns the cost of a publish with `receivers` receivers, in nanoseconds.
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
            Target::Director => sample(members::director(receivers), events),
            Target::DirectorDrained => sample(members::director_drained_elsewhere(receivers), events),
            Target::Channels => sample(members::channels(receivers), events),
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
            // Measured with the plain event only.
            Target::Director => sample(members::director(receivers), events),
            Target::DirectorDrained => sample(members::director_drained_elsewhere(receivers), events),
            Target::Channels => sample(members::channels(receivers), events),
            Target::Nothing => sample(moved::dropped::<E>(), events),
        }
    }
}

fn sample(contender: impl Cost, events: u64) -> f64 {
    cost::Meter::new(contender).sample(events)
}

/// Samples in another process, for each number of receivers in turn.
///
/// # Panics
/// If the process cannot be started, or fails.
#[must_use]
pub fn ask(subject: Subject, receivers: &[usize], events: u64) -> Vec<f64> {
    let program = std::env::current_exe().expect("the path of this program");
    let list: Vec<String> = receivers.iter().map(usize::to_string).collect();
    let mut command = Command::new(program);
    command.args([FLAG, &format!("{subject:?}"), &list.join(","), &events.to_string()]);
    let called = format!("{command:?}");
    let output = match subject.0 {
        // Its two threads need both processors, and a process inherits the pinning of its parent.
        Target::DirectorDrained => machine::unpinned(move || command.output()),
        _ => command.output(),
    };
    let output = output.expect("the program can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && figures.len() == receivers.len(), "{called}: {complaint}");
    figures
}

/// Samples, if the arguments of this process request that, and prints the figures. Call it before
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
    // Starts another thread, as in any real program: allocators detect whether there is one.
    let _ = machine::processors();
    for count in receivers {
        println!("{}", subject.sample(count, events));
    }
    Some(ExitCode::SUCCESS)
}
