//! Probes: which members have acknowledged one event.
//!
//! The number of a probe travels with the event. A member that puts the event into a packet notes the
//! probe in it, and resolves the probe when that event is acknowledged or given up. So a probe needs
//! no lock of a member, and an event without one costs nothing.

use crate::sync::{Mutex, lock};
use crate::time::Deadline;
use crate::wait::{FencePair, WaitList};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Probes(Mutex<ProbeMap>);

#[derive(Default)]
struct ProbeMap {
    next: u64,
    active: HashMap<u64, Arc<Probe>>,
}

/// The members from which one event awaits an acknowledgement.
pub(super) struct Probe {
    state: Mutex<ProbeState>,
    resolved: WaitList,
}

struct ProbeState {
    /// The position of the event, once it is published.
    position: Option<u64>,
    /// What was lost before that: the number of a member, and the positions from and up to.
    lost: Vec<(u64, u64, u64)>,
    /// By the number of the member: whether it has acknowledged the event, once that is decided.
    members: BTreeMap<u64, Option<bool>>,
}

impl Probes {
    /// Begins a probe for these members. Returns its number, too.
    pub(super) fn begin(&self, members: impl IntoIterator<Item = (u64, Option<bool>)>) -> (u64, Arc<Probe>) {
        let state = Mutex::new(ProbeState {
            position: None,
            lost: Vec::new(),
            members: members.into_iter().collect(),
        });
        let probe = Arc::new(Probe { state, resolved: WaitList::new(FencePair::Symmetric) });
        let mut map = lock(&self.0);
        let number = map.next;
        map.next += 1;
        map.active.insert(number, probe.clone());
        (number, probe)
    }

    pub(super) fn end(&self, number: u64) {
        let probe = lock(&self.0).active.remove(&number);
        drop(probe);
    }

    /// A member has acknowledged the event of a probe, or has given it up.
    pub(super) fn resolve(&self, number: u64, member: u64, acked: bool) {
        let probe = lock(&self.0).active.get(&number).cloned();
        if let Some(probe) = probe {
            probe.resolve(member, acked);
        }
    }

    /// Returns the number of the next probe, which is above those that have begun.
    pub(super) fn begun(&self) -> u64 {
        lock(&self.0).next
    }

    /// The session of a member has ended when the probes below `end` had begun.
    pub(super) fn gone(&self, member: u64, end: u64) {
        let active = lock(&self.0).active.clone();
        active.into_iter().filter(|(number, _)| *number < end).for_each(|(_, probe)| {
            probe.resolve(member, false);
        });
    }

    /// A member has lost the positions from `from` up to `to`.
    pub(super) fn lost(&self, member: u64, from: u64, to: u64) {
        let active: Vec<_> = lock(&self.0).active.values().cloned().collect();
        for probe in active {
            if probe.is_among(member, from, to) {
                probe.resolve(member, false);
            }
        }
    }
}

impl Probe {
    /// Tells the position of the event, which some members may have lost already.
    pub(super) fn published_at(&self, position: u64) {
        let lost = {
            let mut state = lock(&self.state);
            state.position = Some(position);
            std::mem::take(&mut state.lost)
        };
        for (member, from, to) in lost {
            if (from..to).contains(&position) {
                self.resolve(member, false);
            }
        }
    }

    /// Returns whether the event is among lost positions. Notes them if that is not known yet.
    fn is_among(&self, member: u64, from: u64, to: u64) -> bool {
        let mut state = lock(&self.state);
        if state.position.is_none() && state.members.contains_key(&member) {
            state.lost.push((member, from, to));
        }
        state.position.is_some_and(|at| (from..to).contains(&at))
    }

    fn resolve(&self, member: u64, acked: bool) {
        if let Some(known) = lock(&self.state).members.get_mut(&member) {
            known.get_or_insert(acked);
        }
        self.resolved.notify();
    }

    /// Waits until each member is decided, and returns what is known then.
    pub(super) fn wait(&self, deadline: Deadline) -> BTreeMap<u64, Option<bool>> {
        let is_decided = || lock(&self.state).members.values().all(Option::is_some).then_some(());
        let _ = self.resolved.wait_until(deadline, is_decided);
        lock(&self.state).members.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Probes;
    use crate::time::Deadline;

    #[test]
    fn event_that_is_lost_before_its_position_is_known_is_resolved() {
        let probes = Probes::default();
        let (_, probe) = probes.begin([(1, None), (2, None)]);
        probes.lost(1, 10, 20);
        probes.lost(2, 20, 30);
        probe.published_at(20);
        let known = probe.wait(Deadline::NOW);
        assert_eq!((known[&1], known[&2]), (None, Some(false)));
        probes.lost(1, 20, 21);
        assert_eq!(probe.wait(Deadline::NOW)[&1], Some(false));
    }
}
