//! Writes events as JSON Lines.

use buslane::BoxError;
use buslane::queue::Handler;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};

/// Writes each event as a line of JSON, and flushes once per batch: few system calls under load,
/// and a file that is up to date as soon as the queue is empty.
#[derive(Debug)]
pub(crate) struct JsonLines {
    file: BufWriter<File>,
    /// The line in the making: it reaches the file as a whole, or not at all.
    line: Vec<u8>,
}

impl JsonLines {
    pub(crate) fn new(file: File) -> Self {
        Self { file: BufWriter::new(file), line: Vec::new() }
    }
}

impl<E: Serialize> Handler<E> for JsonLines {
    fn handle(&mut self, event: E) -> Result<(), BoxError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &event)?;
        self.line.push(b'\n');
        Ok(self.file.write_all(&self.line)?)
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        Ok(self.file.flush()?)
    }

    fn close(&mut self) -> Result<(), BoxError> {
        Ok(self.file.flush()?)
    }
}
