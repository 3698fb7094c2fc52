//! A source that plays a recording.

use super::Update;
use crate::failure::Failure;
use buslane_inspect::Frame;
use buslane_inspect::frame::VERSION;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The most bytes of one line. A frame of 10 000 sinks is smaller.
const LONGEST: u64 = 64 << 20;

/// A recording that is read frame by frame.
pub(crate) struct Replay<R = BufReader<File>> {
    lines: R,
    path: PathBuf,
    number: u64,
}

impl Replay {
    /// Opens a recording.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path);
        let file =
            file.map_err(|error| Failure::new(format_args!("cannot read {}: {error}", path.display())))?;
        Ok(Self { lines: BufReader::new(file), path: path.to_owned(), number: 0 })
    }
}

impl<R: BufRead> Replay<R> {
    /// Returns the text of the next frame, and the frame; `None` at the end of the recording.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is not a frame.
    pub(crate) fn next(&mut self) -> Result<Option<(String, Frame)>, Failure> {
        loop {
            self.number += 1;
            let mut line = String::new();
            let read = (&mut self.lines).take(LONGEST).read_line(&mut line);
            if read.map_err(|error| self.failure(&error))? == 0 {
                return Ok(None);
            }
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let frame: Frame = serde_json::from_str(line).map_err(|error| {
                // Each line is a document of its own for the parser.
                self.failure(error.to_string().replace(" at line 1 column ", " at column "))
            })?;
            return match frame.version {
                0 => Err(self.failure("the line is not a frame: it has no version")),
                version if version > VERSION => Err(self.failure(format_args!(
                    "the frame has version {version}, and this program reads version {VERSION}: update it"
                ))),
                _ => Ok(Some((line.to_owned(), frame))),
            };
        }
    }

    /// Returns the first frame.
    ///
    /// # Errors
    /// When there is none, and those of [`next`](Self::next).
    pub(crate) fn first(&mut self) -> Result<Frame, Failure> {
        let first = self.next()?.map(|(_, frame)| frame);
        first.ok_or_else(|| Failure::new(format_args!("{} has no frame", self.path.display())))
    }

    fn failure(&self, reason: impl std::fmt::Display) -> Failure {
        Failure::new(format_args!("{}, line {}: {reason}", self.path.display(), self.number))
    }

    /// Plays the recording from its next frame on, one frame in each interval, until it ends or
    /// `send` returns `false`.
    pub(crate) fn play(mut self, every: Duration, mut send: impl FnMut(Update) -> bool) {
        loop {
            let update = match self.next() {
                Ok(Some((_, frame))) => Update::Frame(Box::new(frame)),
                Ok(None) => Update::Ended("the recording has ended".to_owned()),
                Err(failure) => Update::Ended(failure.to_string()),
            };
            let has_ended = matches!(update, Update::Ended(_));
            if !send(update) || has_ended {
                return;
            }
            thread::sleep(every);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Replay;
    use crate::failure::Failure;
    use crate::source::Update;
    use std::time::Duration;

    fn replay(text: &str) -> Replay<&[u8]> {
        Replay { lines: text.as_bytes(), path: "recording".into(), number: 0 }
    }

    #[test]
    fn frames_come_in_order_and_as_they_were() {
        let mut replay = replay("{\"version\":1,\"pid\":7,\"later\":[1]}\n\n{\"version\":1,\"pid\":8}");
        let (text, frame) = replay.next().unwrap().unwrap();
        assert_eq!((text.as_str(), frame.pid), ("{\"version\":1,\"pid\":7,\"later\":[1]}", 7));
        assert_eq!(replay.next().unwrap().map(|(_, frame)| frame.pid), Some(8));
        assert!(replay.next().unwrap().is_none());
    }

    #[test]
    fn lines_that_are_no_frames_are_named() {
        let failures = [
            ("{\"version\":1}\n{\"ver", "recording, line 2: "),
            ("\nnonsense", "recording, line 2: "),
            ("{}", "recording, line 1: the line is not a frame: it has no version"),
            (
                "{\"version\":2}",
                "recording, line 1: the frame has version 2, and this program reads version 1: update it",
            ),
        ];
        for (text, expected) in failures {
            let mut replay = replay(text);
            let failure = loop {
                match replay.next() {
                    Ok(frame) => assert!(frame.is_some(), "{text}"),
                    Err(failure) => break failure.to_string(),
                }
            };
            assert!(failure.starts_with(expected), "{failure}");
        }
        let invalid = Replay { lines: &b"\xff"[..], path: "recording".into(), number: 0 }.next();
        assert!(invalid.is_err());
        assert_eq!(
            Replay::open("/nowhere/at/all".as_ref())
                .err()
                .map(|failure: Failure| failure.to_string().starts_with("cannot read /nowhere/at/all: ")),
            Some(true)
        );
    }

    #[test]
    fn play_ends_with_its_reason() {
        let mut updates = Vec::new();
        replay("{\"version\":1,\"pid\":7}\n{").play(Duration::ZERO, |update| {
            updates.push(update);
            true
        });
        assert!(
            matches!(updates.as_slice(), [Update::Frame(_), Update::Ended(reason)] if reason.contains("line 2"))
        );
        let mut count = 0;
        replay("{\"version\":1}\n{\"version\":1}").play(Duration::ZERO, |_| {
            count += 1;
            false
        });
        assert_eq!(count, 1);
    }
}
