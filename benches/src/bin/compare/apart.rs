//! Contenders in processes of their own, found by a key: `benches::elsewhere`.
//!
//! A key is the section, the contender, and the parameters, with slashes between them.

use crate::{Bench, logging, publishers, quota};
use benches::alone::{Carried, Subject, Target};
use benches::elsewhere::Processors;
use benches::paired::Contender;
use benches::peer::PhotonBounded;
use benches::route::ticklog::Ticklog;
use benches::route::{Route, spinning};
use benches::{cost, read, stream};
use std::time::Duration;

/// The word in the names of contenders that are built for this machine's processor.
pub(crate) const NATIVE: &str = "photon-ring, native";

/// Makes the contender with this key.
pub(crate) fn find(key: &str) -> Option<Contender> {
    let parts: Vec<&str> = key.split('/').collect();
    let millis = |text: &str| text.parse().ok().map(Duration::from_millis);
    Some(match parts[..] {
        ["publish", "ticklog"] => Contender::cost("ticklog", cost::ticklog),
        ["stream", "ticklog"] => Contender::stream("ticklog", || stream::pinned(Ticklog)),
        ["waiting", "ticklog"] => Contender::stream_anywhere("ticklog", || Ticklog),
        ["merge", "ticklog", count, time] => publishers::only_ticklog((count.parse().ok()?, millis(time)?)),
        ["latency", "ticklog", rate, label, time] => {
            paced(&format!("ticklog, {label}"), rate, millis(time)?, || Ticklog)?
        }
        ["asleep", "ticklog", events] => Contender::asleep("ticklog", events.parse().ok()?, || Ticklog),
        ["logging", name] => logging::find(name)?,
        ["quota", flow, name, time] => quota::find(flow, name, millis(time)?)?,
        ["one-processor", name, count, time] => {
            publishers::find_on_one(name, (count.parse().ok()?, millis(time)?))?
        }
        _ => native(&parts)?,
    })
}

/// Makes the contender of `photon-ring` with this key.
fn native(parts: &[&str]) -> Option<Contender> {
    fn bounded() -> impl Route {
        spinning::<PhotonBounded>()
    }
    let count = |text: &str| text.parse::<usize>().ok();
    Some(match *parts {
        ["publish", "photon"] => Contender::cost(NATIVE, || cost::photon(1)),
        ["publish", "photon bounded"] => {
            Contender::cost(&format!("{NATIVE}, bounded"), || cost::photon_bounded(1))
        }
        ["publish", "photon batch"] => {
            Contender::cost(&format!("{NATIVE}, batch of 16"), cost::photon_in_slices::<16>)
        }
        ["stream", "photon bounded"] => {
            Contender::stream(&format!("{NATIVE}, bounded"), || stream::pinned(bounded()))
        }
        ["stream", "photon batches"] => {
            Contender::stream(&format!("{NATIVE}, bounded, read in batches"), stream::photon)
        }
        ["reading", "photon bounded"] => {
            Contender::stream(&format!("{NATIVE}, bounded try_recv"), || stream::pinned(bounded()))
        }
        ["reading", "photon batches"] => {
            Contender::stream(&format!("{NATIVE}, bounded recv_batch"), stream::photon)
        }
        ["latency", "photon bounded", rate, label, time] => {
            let time = time.parse().ok().map(Duration::from_millis)?;
            paced(&format!("{NATIVE}, bounded, {label}"), rate, time, bounded)?
        }
        // A process of that build starts itself once more, as this build does for each sample.
        ["journal-publish", name @ ("photon" | "shared photon"), receivers, blocks] => {
            let target = if name == "photon" { Target::Photon } else { Target::PhotonShared };
            let (receivers, blocks) = (count(receivers)?, blocks.parse().ok()?);
            let subject = Subject(target, Carried::Copy);
            Contender::alone(&format!("{name}, native"), subject, &[receivers], blocks)
        }
        ["journal-read", "photon", readers] => {
            let readers = count(readers)?;
            Contender::read(&format!("photon, native/{readers}"), move || read::photon(readers))
        }
        ["journal-read", "photon batch", readers] => {
            let readers = count(readers)?;
            Contender::read(&format!("photon batch, native/{readers}"), move || read::photon_batch(readers))
        }
        ["journal-stream", "photon bounded"] => {
            Contender::stream("photon bounded, native", || stream::pinned(bounded()))
        }
        ["journal-stream", "photon bounded, batches"] => {
            Contender::stream("photon bounded, batches, native", stream::photon)
        }
        ["journal-stream", "photon free"] => Contender::stream("photon free, native", stream::photon_free),
        _ => return None,
    })
}

/// Returns a contender whose events are sent by the clock. A slash separates the parts of a key, so
/// it is a word in the label of a rate.
fn paced<R: Route>(
    name: &str,
    rate: &str,
    time: Duration,
    make: impl Fn() -> R + 'static,
) -> Option<Contender> {
    Some(Contender::latency(&name.replace(" per ", "/"), rate.parse().ok()?, time, make))
}

/// Returns the contender with this key in a process of this program.
pub(crate) fn here(key: &str) -> Option<Contender> {
    elsewhere(Processors::All, key)
}

/// Returns the contender with this key in a process of this program that has one processor.
pub(crate) fn on_one(key: &str) -> Option<Contender> {
    elsewhere(Processors::One, key)
}

fn elsewhere(processors: Processors, key: &str) -> Option<Contender> {
    let program = std::env::current_exe().ok()?;
    Some(known(key).elsewhere(program, processors, key))
}

/// Makes the contender with a key of this program: a row is not left out because of a misspelled one.
fn known(key: &str) -> Contender {
    find(key).unwrap_or_else(|| unreachable!("no contender has the key {key}"))
}

impl Bench {
    /// Returns the contender with this key in a process of the other build, if there is one.
    pub(crate) fn native(&self, key: &str) -> Option<Contender> {
        let program = self.native.clone()?;
        Some(known(key).elsewhere(program, Processors::All, key))
    }
}
