//! Contenders in processes of their own, found by a key: `benches::elsewhere`.
//!
//! A key is the section, the contender, and the parameters, with slashes between them.

use crate::{Bench, quota};
use benches::merge::Processors;
use benches::paired::Contender;
use benches::peer::PhotonBounded;
use benches::route::spinning;
use benches::route::ticklog::Ticklog;
use benches::{cost, stream};
use std::time::Duration;

/// The word in the names of contenders that are built for this machine's processor.
pub(crate) const NATIVE: &str = "photon-ring, native";

/// Makes the contender with this key.
pub(crate) fn find(key: &str) -> Option<Contender> {
    let parts: Vec<&str> = key.split('/').collect();
    let millis = |text: &str| text.parse().ok().map(Duration::from_millis);
    Some(match parts[..] {
        ["publish", "photon"] => Contender::cost(NATIVE, || cost::photon(1)),
        ["publish", "photon bounded"] => {
            Contender::cost(&format!("{NATIVE}, bounded"), || cost::photon_bounded(1))
        }
        ["publish", "photon batch"] => {
            Contender::cost(&format!("{NATIVE}, batch of 16"), cost::photon_in_slices::<16>)
        }
        ["stream", "photon bounded"] => {
            Contender::stream(&format!("{NATIVE}, bounded"), || stream::pinned(spinning::<PhotonBounded>()))
        }
        ["stream", "photon batches"] => {
            Contender::stream(&format!("{NATIVE}, bounded, read in batches"), stream::photon)
        }
        ["latency", "photon bounded", rate, label, time] => {
            let name = format!("{NATIVE}, bounded, {label}");
            Contender::latency(&name.replace(" per ", "/"), rate.parse().ok()?, millis(time)?, || {
                spinning::<PhotonBounded>()
            })
        }
        ["publish", "ticklog"] => Contender::cost("ticklog", cost::ticklog),
        ["stream", "ticklog"] => Contender::stream("ticklog", || stream::pinned(Ticklog)),
        ["waiting", "ticklog"] => Contender::stream_anywhere("ticklog", || Ticklog),
        ["merge", "ticklog", count, time] => {
            let count = count.parse().ok()?;
            let of = (count, Processors::All);
            Contender::merge(&format!("ticklog, {count}"), of, millis(time)?, || Ticklog)
        }
        ["latency", "ticklog", rate, label, time] => {
            let name = format!("ticklog, {label}");
            Contender::latency(&name.replace(" per ", "/"), rate.parse().ok()?, millis(time)?, || Ticklog)
        }
        ["quota", flow, name, time] => quota::find(flow, name, millis(time)?)?,
        _ => return None,
    })
}

/// Returns the contender with this key in a process of this program.
pub(crate) fn here(key: &str) -> Option<Contender> {
    let program = std::env::current_exe().ok()?;
    Some(find(key)?.elsewhere(program, key))
}

impl Bench {
    /// Returns the contender with this key in a process of the other build, if there is one.
    pub(crate) fn native(&self, key: &str) -> Option<Contender> {
        Some(find(key)?.elsewhere(self.native.clone()?, key))
    }
}
