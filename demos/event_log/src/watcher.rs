//! Looks at the directory, and publishes what differs from the look before.

use crate::directory::Directory;
use crate::event::{Event, Kind};
use crate::picture::Picture;
use crate::record::Record;
use crate::story::Story;
use buslane::WriteError;
use buslane::journal::JournalWriter;
use demo_support::Failure;
use std::fmt::Write;
use std::time::SystemTime;

/// Looks at the directory, and publishes what differs from the look before.
pub(crate) struct Watcher {
    directory: Directory,
    writer: JournalWriter<Event>,
    story: Story,
    looks: u32,
    /// Of the latest event, or the latest look.
    time: SystemTime,
    pub(crate) notes: Notes,
}

/// What the watcher knows at the end.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) record: Record,
    /// What the directory looked like last.
    pub(crate) picture: Picture,
    /// Attempts to publish that the mirror was not fast enough for.
    pub(crate) attempts_in_vain: u64,
    /// Events that the journal gave another place than the next one.
    pub(crate) misplaced: u64,
}

impl Watcher {
    pub(crate) fn new(directory: Directory, writer: JournalWriter<Event>, story: Story) -> Self {
        let time = SystemTime::now();
        Self { directory, writer, story, looks: 0, time, notes: Notes::default() }
    }

    /// The time now. It never goes back, whatever the system's clock does.
    pub(crate) fn now(&mut self) -> SystemTime {
        self.time = self.time.max(SystemTime::now());
        self.time
    }

    /// Looks at the directory once.
    pub(crate) fn look(&mut self) -> Result<(), Failure> {
        let is_first = self.looks == 0;
        self.looks += 1;
        if !is_first {
            self.directory.change()?;
        }
        let picture = self.directory.look()?;
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
                // The mirror is behind by all that the journal keeps. Nobody else would see the event if we gave up.
                Err(WriteError::Timeout(refused)) => {
                    self.notes.attempts_in_vain += 1;
                    event = refused;
                }
                Err(error) => return Err(Failure::broken("cannot publish", error)),
            }
        }
    }

    fn tell(&self, begin: u64, counts: &[u64], picture: &Picture) {
        let mut text = format!("look {}:", self.looks);
        let told = Kind::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
        for (index, (kind, count)) in told.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(text, "{comma} {count} {kind}").expect("a string takes everything");
        }
        match self.notes.record.len() {
            end if end == begin => text.push_str(" nothing new"),
            end => write!(text, "; events {begin} to {}", end - 1).expect("a string takes everything"),
        }
        if picture.unreadable > 0 {
            write!(text, "; {} folders cannot be read", picture.unreadable)
                .expect("a string takes everything");
        }
        self.story.tell("watcher", format_args!("{text}"));
    }

    /// Closes the journal.
    pub(crate) fn finish(self) -> Notes {
        self.writer.close();
        self.notes
    }
}
