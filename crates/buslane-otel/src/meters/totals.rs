//! The totals of counters: over all sinks and subscribers that had the same attributes one after
//! another.
//!
//! The SDK subtracts what it has reported before when an exporter asks for differences, and it takes a
//! counter that falls for one that never does: the difference is a huge number, or a panic under its
//! lock. So what is observed for a counter never falls, and never pauses, either: the SDK forgets
//! what it has reported for a series that is missing in one collection.

use buslane::SinkId;
use buslane::stats::metrics::{Label, LabelKey};
use std::collections::HashMap;

/// The series of each family that are kept although nothing has their attributes any more.
pub(super) const MOST_ENDED: usize = 64;

/// The totals of all counters of one source.
#[derive(Default)]
pub(super) struct Totals {
    families: HashMap<&'static str, HashMap<Vec<Label<'static>>, Total>>,
    /// The number of rounds that have ended.
    round: u64,
}

/// The total of one counter.
struct Total {
    /// The last values of the sinks and subscribers that are gone.
    before: u64,
    /// The last value.
    last: u64,
    sink: Option<SinkId>,
    /// The round in which it was measured last.
    round: u64,
}

impl Totals {
    /// Takes the value of a counter, and returns the total.
    pub(super) fn advance(
        &mut self,
        family: &'static str,
        labels: Vec<Label<'static>>,
        value: u64,
        sink: Option<SinkId>,
    ) -> u64 {
        // A subscriber that comes back, or a member that rejoins, begins at 0.
        let may_restart = sink.is_none() || labels.iter().any(|it| it.key == LabelKey::Subscriber);
        let begin = Total { before: 0, last: 0, sink, round: 0 };
        let total = self.families.entry(family).or_default().entry(labels).or_insert(begin);
        if total.sink != sink || (may_restart && value < total.last) {
            total.before = total.value();
            total.last = 0;
        }
        // A snapshot that was taken while events flow may be a few events older than the one before.
        total.last = total.last.max(value);
        (total.sink, total.round) = (sink, self.round);
        total.value()
    }

    /// Ends a round, and passes each total that had no value in it to `each`: it keeps the last one.
    /// Of each family the [`MOST_ENDED`] that ended last are kept.
    pub(super) fn end_round(&mut self, mut each: impl FnMut(&'static str, &[Label<'static>], u64)) {
        let now = self.round;
        for (&family, totals) in &mut self.families {
            // The number of an attachment is not used again.
            let may_return = |labels: &[Label<'_>]| labels.iter().all(|it| it.key != LabelKey::SinkId);
            totals.retain(|labels, total| total.round == now || may_return(labels));
            let mut ended: Vec<_> =
                totals.values().map(|total| total.round).filter(|round| *round != now).collect();
            if ended.len() > MOST_ENDED {
                ended.sort_unstable();
                let oldest = ended[ended.len() - MOST_ENDED];
                let mut surplus = ended.len() - MOST_ENDED;
                totals.retain(|_, total| {
                    let goes = surplus > 0 && total.round <= oldest;
                    surplus -= usize::from(goes);
                    !goes
                });
            }
            for (labels, total) in totals.iter().filter(|(_, total)| total.round != now) {
                each(family, labels, total.value());
            }
        }
        self.round += 1;
    }
}

impl Total {
    fn value(&self) -> u64 {
        self.before.saturating_add(self.last)
    }
}
