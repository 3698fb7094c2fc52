//! The books: what must be equal at the end, and whether it is.

use crate::delivery::Delivery;
use crate::endpoint::Received;
use crate::story::Story;
use buslane::stats::{Ledger, Snapshot};
use demo_support::Failure;

/// What must be equal at the end, and whether it is.
pub(crate) struct Books {
    published: u64,
    snapshot: Snapshot,
    entries: Vec<(bool, String)>,
}

impl Books {
    pub(crate) fn new(published: u64, snapshot: Snapshot) -> Self {
        Self { published, snapshot, entries: Vec::new() }
    }

    fn check(&mut self, holds: bool, text: String) {
        self.entries.push((holds, text));
    }

    fn equal(&mut self, (left, left_count): (&str, u64), (right, right_count): (&str, u64)) {
        let holds = left_count == right_count;
        let sign = if holds { "=" } else { "≠" };
        self.check(holds, format!("{left}: {left_count} {sign} {right_count} {right}"));
    }

    fn balance(&mut self, name: &str, what: &str, ledger: &Ledger) {
        self.check(ledger.check().is_ok(), format!("{name}, {what}: {ledger}"));
        self.equal((&format!("{name}, pending in the {what}"), ledger.pending), ("expected", 0));
    }

    /// Enters what is true of one endpoint and the way to it.
    pub(crate) fn audit(&mut self, name: &str, delivery: &Delivery, received: &Received) {
        let listed = self.snapshot.sinks.iter().find(|sink| sink.name == name);
        let queue = listed.map(|sink| sink.state.ledger).unwrap_or_default();
        let batches = delivery.batches.state().ledger;
        self.equal((&format!("{name}, published"), self.published), ("offered", queue.offered));
        self.balance(name, "queue", &queue);
        self.balance(name, "batches", &batches);
        // The queue says of each event what became of it further down.
        self.equal(
            (&format!("{name}, delivered as the queue says"), queue.delivered),
            ("delivered in batches", batches.delivered),
        );
        self.equal(
            (&format!("{name}, given up as the queue says"), queue.dropped.failed),
            ("given up in batches", batches.dropped.failed),
        );

        let dead = delivery.dead_letters();
        let dead_count = dead.len() as u64;
        // Of a batch that was given up in part, only that part is.
        self.equal((&format!("{name}, dead letters"), dead_count), ("given up", batches.dropped.failed));
        // An answer that was lost: the event arrived, and the sender was not told.
        let dead_and_there = dead.intersection(&received.ids).count() as u64;
        let expected = batches.delivered + dead_and_there;
        let there = received.ids.len() as u64;
        // What a close cut short may have arrived or not.
        let unknown = batches.dropped.total().saturating_sub(dead_count);
        let what = format!(
            "{name}: {there} received = {} delivered + {dead_and_there} dead letters that had arrived \
             ({} came twice, {unknown} cut short by the close)",
            batches.delivered, received.again
        );
        self.check((expected..=expected + unknown).contains(&there), what);
    }

    pub(crate) fn print(&self, story: Story) {
        let wrong = self.entries.iter().filter(|(holds, _)| !holds).count();
        story.line(format_args!("\nbooks: {} entries, {wrong} wrong", self.entries.len()));
        for (holds, text) in &self.entries {
            story.line(format_args!("  {:<7}{text}", if *holds { "ok" } else { "WRONG" }));
        }
    }

    /// Whether everything holds.
    pub(crate) fn verdict(self) -> Result<(), Failure> {
        let wrong: Vec<_> =
            self.entries.into_iter().filter(|(holds, _)| !holds).map(|(_, text)| text).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Failure::Unbalanced(wrong)) }
    }
}
