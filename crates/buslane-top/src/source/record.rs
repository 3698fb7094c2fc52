//! A recording: frames as lines of JSON in a file.

use crate::failure::Failure;
use buslane_inspect::Frame;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file to which frames are appended.
#[derive(Debug)]
pub(crate) struct Recorder {
    path: PathBuf,
    /// `None` after an error: a recording with a hole inside would look complete.
    file: Option<BufWriter<File>>,
}

impl Recorder {
    /// Opens a file to append to.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file =
            file.map_err(|error| Failure::new(format_args!("cannot write {}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), file: Some(BufWriter::new(file)) })
    }

    /// Appends a frame. After an error it records no further frames.
    ///
    /// # Errors
    /// Once, when the file cannot be written.
    pub(crate) fn record(&mut self, frame: &Frame) -> Result<(), Failure> {
        match serde_json::to_string(frame) {
            Ok(line) => self.line(&line),
            Err(error) => self.end(&error),
        }
    }

    /// Appends a frame as the service sent it.
    ///
    /// # Errors
    /// Once, when the file cannot be written.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        // Flushed with each frame, so that a recording is complete whenever the program ends.
        match writeln!(file, "{line}").and_then(|()| file.flush()) {
            Ok(()) => Ok(()),
            Err(error) => self.end(&error),
        }
    }

    fn end(&mut self, error: &dyn std::error::Error) -> Result<(), Failure> {
        self.file = None;
        Err(Failure::new(format_args!(
            "the recording has ended: cannot write {}: {error}",
            self.path.display()
        )))
    }
}
