//! Scans the directory, and publishes what differs from the scan before.

use crate::directory::Directory;
use crate::event::{Event, Kind};
use crate::picture::Picture;
use crate::record::Record;
use buslane::WriteError;
use buslane::journal::JournalWriter;
use demo_support::{Failure, Story};
use std::fmt::Write;
use std::time::SystemTime;

/// Scans the directory, and publishes what differs from the scan before.
pub(crate) struct Watcher {
    directory: Directory,
    writer: JournalWriter<Event>,
    story: Story,
    scans: u32,
    /// Of the latest event, or the latest scan.
    time: SystemTime,
    pub(crate) notes: Notes,
}

/// What the watcher knows at the end.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) record: Record,
    /// The last scan.
    pub(crate) picture: Picture,
    /// Attempts to publish that the journal refused, because the mirror was too far behind.
    pub(crate) refused: u64,
    /// Events to which the journal gave another sequence than the next one.
    pub(crate) misplaced: u64,
}

impl Watcher {
    pub(crate) fn new(directory: Directory, writer: JournalWriter<Event>, story: Story) -> Self {
        let time = SystemTime::now();
        Self { directory, writer, story, scans: 0, time, notes: Notes::default() }
    }

    /// The time now. It never goes back, whatever the system's clock does.
    pub(crate) fn now(&mut self) -> SystemTime {
        self.time = self.time.max(SystemTime::now());
        self.time
    }

    /// Scans the directory once.
    pub(crate) fn scan(&mut self) -> Result<(), Failure> {
        let is_first = self.scans == 0;
        self.scans += 1;
        if !is_first {
            self.directory.change()?;
        }
        let picture = self.directory.scan()?;
        let begin = self.notes.record.len();
        let mut counts = [0_u64; Kind::ALL.len()];
        for (kind, path, size) in picture.differences(&self.notes.picture) {
            let kind = if is_first { Kind::Found } else { kind };
            counts[kind as usize] += 1;
            let time = self.now();
            self.publish(Event { kind, path, size, time })?;
        }
        self.tell(begin, &counts, &picture);
        self.notes.picture = picture;
        Ok(())
    }

    fn publish(&mut self, mut event: Event) -> Result<(), Failure> {
        let place = self.notes.record.note(&event);
        loop {
            match self.writer.publish(event) {
                Ok(sequence) => {
                    self.notes.misplaced += u64::from(sequence.get() != place);
                    return Ok(());
                }
                // The mirror is behind by all that the journal keeps. Without a retry, no
                // subscriber would see the event.
                Err(WriteError::Timeout(returned)) => {
                    self.notes.refused += 1;
                    event = returned;
                }
                Err(error) => return Err(Failure::broken("cannot publish", error)),
            }
        }
    }

    fn tell(&self, begin: u64, counts: &[u64], picture: &Picture) {
        let mut text = format!("scan {}:", self.scans);
        let told = Kind::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
        for (index, (kind, count)) in told.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(text, "{comma} {count} {kind}").expect("a string accepts every text");
        }
        match self.notes.record.len() {
            end if end == begin => text.push_str(" nothing new"),
            end => write!(text, "; events {begin} to {}", end - 1).expect("a string accepts every text"),
        }
        if picture.unreadable > 0 {
            write!(text, "; {} folders cannot be read", picture.unreadable)
                .expect("a string accepts every text");
        }
        self.story.tell("watcher", format_args!("{text}"));
    }

    /// Closes the journal.
    pub(crate) fn finish(self) -> Notes {
        self.writer.close();
        self.notes
    }
}
