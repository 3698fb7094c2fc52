//! Reads lines on a thread of its own, since a read cannot be called off.

use crate::message::{Line, Message};
use demo_support::Failure;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::thread::Builder;

/// The longest line. A longer one is published in pieces, so that an input without line ends does
/// not fill the memory. Copies hold the same bytes either way; a filter searches each piece.
const LONGEST_LINE: u64 = 1 << 20;
/// Lines are sent when there are this many, or when the next one has not arrived yet.
const BATCH: usize = 64;

/// Where the lines come from.
pub(crate) struct Source {
    reader: BufReader<Box<dyn Read + Send>>,
    /// Bytes to be read, where that is known.
    pub(crate) size: Option<u64>,
}

impl Source {
    /// Opens the input: a file, or standard input.
    pub(crate) fn open(input: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = input else {
            return Ok(Self { reader: BufReader::new(Box::new(io::stdin())), size: None });
        };
        let cannot_read = |error: io::Error| Failure::setup(format!("cannot read {}", path.display()), error);
        let file = File::open(path).map_err(cannot_read)?;
        let about = file.metadata().map_err(cannot_read)?;
        // A directory can be opened like a file, and then not be read.
        if about.is_dir() {
            return Err(cannot_read(io::ErrorKind::IsADirectory.into()));
        }
        let size = about.is_file().then_some(about.len());
        Ok(Self { reader: BufReader::new(Box::new(file)), size })
    }

    /// Reads on a new thread until the end, an error, or until the receiver is gone. The thread is
    /// not joined: a read of a terminal or a pipe may never return.
    pub(crate) fn read_on_a_thread(self, sender: SyncSender<Message>) -> Result<(), Failure> {
        let reader = move || {
            let last = self.read_all(&sender).map_or_else(Message::Unreadable, |()| Message::End);
            // Without a receiver the run was ended.
            let _ = sender.send(last);
        };
        Builder::new()
            .name("reader".to_owned())
            .spawn(reader)
            .map(drop)
            .map_err(|error| Failure::setup("cannot start the reading thread", error))
    }

    fn read_all(mut self, sender: &SyncSender<Message>) -> io::Result<()> {
        let (mut lines, mut bytes) = (Vec::<Line>::new(), Vec::new());
        loop {
            let result = (&mut self.reader).take(LONGEST_LINE).read_until(b'\n', &mut bytes);
            let is_over = !matches!(result, Ok(length) if length > 0);
            // What was read before an error is read.
            if !bytes.is_empty() {
                lines.push(Line::from(bytes.as_slice()));
                bytes.clear();
            }
            if is_over || lines.len() >= BATCH || !self.reader.buffer().contains(&b'\n') {
                let is_unread = sender.send(Message::Lines(std::mem::take(&mut lines))).is_err();
                if is_over || is_unread {
                    return result.map(drop);
                }
            }
        }
    }
}
