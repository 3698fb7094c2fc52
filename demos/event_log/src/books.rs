//! The books: what must be so at the end, and whether it is.

use crate::mirror::Mirror;
use crate::story::Story;
use crate::visit::Visit;
use crate::watcher::Notes;
use buslane::stats::Ledger;
use demo_support::Failure;

/// What must be so at the end, and whether it is.
#[derive(Default)]
pub(crate) struct Books(Vec<(bool, String)>);

impl Books {
    fn check(&mut self, holds: bool, text: String) {
        self.0.push((holds, text));
    }

    fn equal(&mut self, (left, left_count): (&str, u64), (right, right_count): (&str, u64)) {
        let holds = left_count == right_count;
        let sign = if holds { "=" } else { "≠" };
        self.check(holds, format!("{left}: {left_count} {sign} {right_count} {right}"));
    }

    /// Enters what is true of the journal: it took what the watcher noted, in that order, and nothing else.
    pub(crate) fn audit_journal(&mut self, notes: &Notes, ledger: &Ledger) {
        self.check(ledger.check().is_ok(), format!("journal: {ledger}"));
        self.equal(("journal, noted by the watcher", notes.record.len()), ("accepted", ledger.accepted));
        self.equal(("journal, tried in vain", notes.attempts_in_vain), ("refused", ledger.refused.total()));
        self.equal(("journal, events out of their turn", notes.misplaced), ("expected", 0));
    }

    /// Enters that a subscriber saw every event that it was to see, or was told that it missed it, and that the journal says
    /// the same about it.
    pub(crate) fn audit_visit(&mut self, notes: &Notes, visit: &Visit) {
        let Visit { name, begin, since, witness, connections } = visit;
        let (seen, missed, end) = (witness.seen_count(), witness.missed_count(), notes.record.len());
        let early = match witness.prove(&notes.record, *begin, *since) {
            Ok(early) => early,
            Err(wrong) => return self.check(false, format!("{name}: {wrong}")),
        };
        self.check(
            begin + seen + missed + early == end,
            format!(
                "{name}: {begin} before it came + {seen} seen + {missed} missed + {early} too early for it = {end}"
            ),
        );
        let mut sum = Ledger::default();
        for connection in connections {
            self.check(connection.ledger.check().is_ok(), connection.to_string());
            sum += connection.ledger;
        }
        self.equal((&format!("{name}, delivered"), sum.delivered), ("seen", seen));
        self.equal((&format!("{name}, evicted"), sum.dropped.evicted), ("missed", missed));
        self.equal((&format!("{name}, filtered"), sum.filtered), ("too early", early));
    }

    /// Enters that the directory as the events tell it is the one that the watcher saw last.
    pub(crate) fn audit_mirror(&mut self, notes: &Notes, mirror: &Mirror) {
        self.equal(("mirror, events that cannot be", mirror.impossible), ("expected", 0));
        self.check(
            mirror.shows(&notes.picture),
            format!("mirror: shows {} things, and the directory {}", mirror.len(), notes.picture.len()),
        );
    }

    pub(crate) fn print(&self, story: &Story) {
        let wrong = self.0.iter().filter(|(holds, _)| !holds).count();
        story.line(format_args!("\nbooks: {} entries, {wrong} wrong", self.0.len()));
        for (holds, text) in &self.0 {
            story.line(format_args!("  {:<7}{text}", if *holds { "ok" } else { "WRONG" }));
        }
    }

    /// Whether everything holds.
    pub(crate) fn verdict(self) -> Result<(), Failure> {
        let wrong: Vec<_> = self.0.into_iter().filter(|(holds, _)| !holds).map(|(_, text)| text).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Failure::Unbalanced(wrong)) }
    }
}
