//! Reads lines on a thread of its own, since a read cannot be called off.

use super::line::Line;
use demo_support::Failure;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::thread::Builder;

/// The name of standard input on the command line.
pub(crate) const STANDARD_INPUT: &str = "-";
/// The longest line. A longer one is published in pieces, so that a file without line ends does not
/// fill the memory.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;
/// A batch is sent when it has this many lines, or when the next line has not arrived yet.
const BATCH: usize = 64;

/// Where the lines come from.
pub(crate) struct Source(BufReader<Box<dyn Read + Send>>);

/// What the reading thread has to say.
#[derive(Debug)]
pub(crate) enum Message {
    Batch(Batch),
    /// Check the flag.
    Wake,
    /// Reading ended before the end.
    Broken(io::Error),
    End,
}

/// Some lines, and what was counted while they were read.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) lines: Vec<Line>,
    pub(crate) read: u64,
    pub(crate) not_utf8: u64,
    /// Pieces of lines that were longer than [`LONGEST_LINE`].
    pub(crate) cut: u64,
}

impl Source {
    /// Opens the input, which must not be the file that is about to be written.
    pub(crate) fn open(input: &str, output: Option<&Path>) -> Result<Self, Failure> {
        if input == STANDARD_INPUT {
            return Ok(Self(BufReader::new(Box::new(io::stdin()))));
        }
        let cannot_read = |error: io::Error| Failure::setup(format!("cannot read {input}"), error);
        let file = File::open(input).map_err(cannot_read)?;
        // A directory can be opened like a file, and then not be read.
        if file.metadata().map_err(cannot_read)?.is_dir() {
            return Err(cannot_read(io::ErrorKind::IsADirectory.into()));
        }
        if output.is_some_and(|output| is_same_file(Path::new(input), output)) {
            return Err(Failure::Setup(format!("{input} is both input and output")));
        }
        Ok(Self(BufReader::new(Box::new(file))))
    }

    /// Reads on a new thread until the end, an error, or until the receiver is gone.
    pub(crate) fn read_on_a_thread(self, sender: SyncSender<Message>) -> Result<(), Failure> {
        let reader = move || {
            let last = match self.read_all(&sender) {
                Ok(()) => Message::End,
                Err(error) => Message::Broken(error),
            };
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
        let (mut batch, mut bytes, mut number) = (Batch::default(), Vec::new(), 0);
        loop {
            let result = (&mut self.0).take(LONGEST_LINE as u64).read_until(b'\n', &mut bytes);
            let is_over = !matches!(result, Ok(length) if length > 0);
            if !is_over {
                number += 1;
                batch.push(number, &bytes);
                bytes.clear();
            }
            if is_over || batch.lines.len() >= BATCH || self.0.buffer().is_empty() {
                // Without a receiver the run was ended.
                let _ = sender.send(Message::Batch(std::mem::take(&mut batch)));
            }
            if is_over {
                return result.map(drop);
            }
        }
    }
}

impl Batch {
    /// Takes in a line as it was read, with its end.
    fn push(&mut self, number: u64, bytes: &[u8]) {
        let line = bytes.strip_suffix(b"\n");
        self.cut += u64::from(line.is_none() && bytes.len() == LONGEST_LINE);
        let line = line.unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = String::from_utf8_lossy(line);
        self.not_utf8 += u64::from(matches!(text, std::borrow::Cow::Owned(_)));
        self.read += 1;
        self.lines.push(Line { number, text: text.into() });
    }
}

/// Whether two paths lead to the same file.
fn is_same_file(left: &Path, right: &Path) -> bool {
    match (left.canonicalize(), right.canonicalize()) {
        (Ok(left), Ok(right)) => left == right,
        // What does not exist yet is no input.
        _ => false,
    }
}
