//! What was shown, and the comparison with what an engine sent.

use buslane::source::{Gap, GapReason};
use buslane_docker::DockerEvent;
use buslane_docker::testing::ScriptedEvent;
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The newest events among which one that is shown twice is noticed: far more than an engine repeats.
const REMEMBERED: usize = 16 * 1024;

/// What identifies an event: its time, its kind, its action and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) Option<u64>, pub(crate) String);

impl Name {
    fn of(event: &DockerEvent) -> Self {
        let time = event.time_nano().and_then(|time| time.try_into().ok());
        Self(time, format!("{} {} {}", event.kind(), event.full_action(), event.id()))
    }

    fn of_scripted(event: &ScriptedEvent) -> Self {
        Self(event.time(), format!("{} {} {}", event.kind(), event.action(), event.id()))
    }
}

/// One thing that a scripted engine sent.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    Event(ScriptedEvent),
    /// Bytes that are no event.
    Garbage,
}

#[derive(Clone, Debug)]
enum Note {
    Event(Name),
    Gap(Gap),
}

/// Notes of everything that was shown.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) events: u64,
    pub(crate) gaps: u64,
    /// Events that were shown before.
    pub(crate) repeated: u64,
    /// Tokens that were given up.
    pub(crate) stale: u64,
    /// Of the newest events.
    hashes: HashSet<u64>,
    newest: VecDeque<u64>,
    /// In order; kept if there is something to compare it with.
    notes: Option<Vec<Note>>,
}

/// What became of everything that an engine sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) shown: u64,
    /// Not shown, and at a gap.
    pub(crate) covered: u64,
    /// Not shown, and not at a gap.
    pub(crate) lost: u64,
    /// Shown, and not sent, or not in this order.
    pub(crate) unknown: u64,
    /// Gaps with a number that is wrong.
    pub(crate) miscounted: u64,
    /// Not shown because the demo ended before.
    pub(crate) left: u64,
}

impl Record {
    /// Keeps all notes, so that they can be compared.
    pub(crate) fn complete() -> Self {
        Self { notes: Some(Vec::new()), ..Self::default() }
    }

    pub(crate) fn event(&mut self, event: &DockerEvent) {
        self.events += 1;
        let mut hasher = DefaultHasher::new();
        event.hash(&mut hasher);
        self.note_hash(hasher.finish());
        if let Some(notes) = &mut self.notes {
            notes.push(Note::Event(Name::of(event)));
        }
    }

    fn note_hash(&mut self, hash: u64) {
        if !self.hashes.insert(hash) {
            self.repeated += 1;
            return;
        }
        self.newest.push_back(hash);
        if self.newest.len() > REMEMBERED
            && let Some(oldest) = self.newest.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }

    pub(crate) fn gap(&mut self, gap: Gap) {
        self.gaps += 1;
        self.stale += u64::from(gap.reason == GapReason::StaleToken);
        if let Some(notes) = &mut self.notes {
            notes.push(Note::Gap(gap));
        }
    }

    /// Returns whether an event was shown, by its time.
    pub(crate) fn has_time(&self, time: u64) -> bool {
        let is_it = |note: &Note| matches!(note, Note::Event(Name(Some(shown), _)) if *shown == time);
        self.notes.iter().flatten().rev().any(is_it)
    }

    /// Compares the notes with what an engine sent, in order.
    pub(crate) fn compare(&self, sent: &[Sent]) -> Comparison {
        let mut comparison = Comparison::default();
        let (mut rest, mut gaps) = (sent, Vec::new());
        for note in self.notes.iter().flatten() {
            match note {
                Note::Gap(gap) => gaps.push(*gap),
                Note::Event(name) => {
                    let is_it =
                        |sent: &Sent| matches!(sent, Sent::Event(event) if Name::of_scripted(event) == *name);
                    let Some(at) = rest.iter().position(is_it) else {
                        comparison.unknown += 1;
                        continue;
                    };
                    comparison.skip(&rest[..at], &std::mem::take(&mut gaps));
                    rest = &rest[at + 1..];
                    comparison.shown += 1;
                }
            }
        }
        if gaps.is_empty() {
            comparison.left = rest.len() as u64;
        } else {
            comparison.skip(rest, &gaps);
        }
        comparison
    }
}

impl Comparison {
    /// Counts what was sent between two shown events, where there are these gaps.
    fn skip(&mut self, skipped: &[Sent], gaps: &[Gap]) {
        let garbage = skipped.iter().filter(|sent| matches!(sent, Sent::Garbage)).count() as u64;
        let events = skipped.len() as u64 - garbage;
        let count = |is_it: fn(&&Gap) -> bool| gaps.iter().filter(is_it).collect::<Vec<_>>();
        let undecodable = count(|gap| gap.reason == GapReason::Undecodable);
        let others = count(|gap| gap.reason != GapReason::Undecodable);
        // What is no event has a gap of one for itself.
        let reported = undecodable.iter().map(|gap| gap.missed.unwrap_or(0)).sum::<u64>();
        let missed: Option<u64> = others.iter().map(|gap| gap.missed).sum();
        self.miscounted += u64::from(reported != garbage);
        self.miscounted += u64::from(!others.is_empty() && missed.is_some_and(|missed| missed != events));
        self.covered += reported.min(garbage);
        self.lost += garbage.saturating_sub(reported);
        *(if others.is_empty() { &mut self.lost } else { &mut self.covered }) += events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: u64) -> Sent {
        Sent::Event(ScriptedEvent::new("volume", "create", format!("v{id}")).at(id))
    }

    fn record(notes: &[Result<u64, Gap>]) -> Record {
        let note = |note: &Result<u64, Gap>| match note {
            Ok(id) => Note::Event(Name(Some(*id), format!("volume create v{id}"))),
            Err(gap) => Note::Gap(*gap),
        };
        Record { notes: Some(notes.iter().map(note).collect()), ..Record::default() }
    }

    fn gap(missed: Option<u64>) -> Result<u64, Gap> {
        let gap = Gap::new(GapReason::HistoryLost);
        Err(missed.map_or(gap, |missed| gap.missed(missed)))
    }

    #[test]
    fn memory_of_shown_events_is_bounded() {
        let mut record = Record::default();
        for hash in 0..3 * REMEMBERED as u64 {
            record.note_hash(hash);
        }
        record.note_hash(3 * REMEMBERED as u64 - 1);
        assert_eq!((record.repeated, record.hashes.len(), record.newest.len()), (1, REMEMBERED, REMEMBERED));
    }

    #[test]
    fn comparison_counts_each_event_once() {
        let all = [sent(1), sent(2), sent(3), Sent::Garbage, sent(4)];
        let of = |notes: &[Result<u64, Gap>]| record(notes).compare(&all);
        let garbage = Err(Gap::new(GapReason::Undecodable).missed(1));
        let good = of(&[Ok(1), gap(None), Ok(3), garbage, Ok(4)]);
        assert_eq!(good, Comparison { shown: 3, covered: 2, ..Comparison::default() });
        assert_eq!(of(&[Ok(1), gap(Some(1)), Ok(3), garbage, Ok(4)]), good);
        assert_eq!(of(&[Ok(1), gap(Some(2)), Ok(3), garbage, Ok(4)]).miscounted, 1);
        assert_eq!(of(&[Ok(1), Ok(3), garbage, Ok(4)]).lost, 1);
        assert_eq!(of(&[Ok(1), Ok(2), Ok(3), Ok(4)]).lost, 1);
        assert_eq!(of(&[Ok(1), Ok(2), Ok(2)]).unknown, 1);
        assert_eq!(of(&[Ok(2), Ok(1)]).unknown, 1);
        assert_eq!(of(&[Ok(1), Ok(2)]).left, 3);
    }
}
