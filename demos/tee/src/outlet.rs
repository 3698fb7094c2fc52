//! One output: where its lines go, and what could not be written.

use crate::message::Line;
use buslane::BoxError;
use buslane::queue::Handler;
use demo_support::Failure;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What an output reports while its queue writes.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// Lines that the system accepted.
    written: AtomicU64,
    /// Why nothing more is written.
    error: Mutex<Option<io::Error>>,
}

impl Status {
    /// How many lines were written.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// What kind of error ended it, if one did.
    pub(crate) fn error(&self) -> Option<io::ErrorKind> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(io::Error::kind)
    }
}

/// Opens a file to be written, anew or at its end. It must not be the one that is read.
pub(crate) fn open(path: &Path, append: bool, input: Option<&Path>) -> Result<File, Failure> {
    if input.is_some_and(|input| is_same_file(input, path)) {
        return Err(Failure::Setup(format!("{} is both input and output", path.display())));
    }
    let opened = File::options().create(true).write(true).append(append).truncate(!append).open(path);
    opened.map_err(|error| Failure::setup(format!("cannot write to {}", path.display()), error))
}

/// Whether two paths lead to the same file.
fn is_same_file(left: &Path, right: &Path) -> bool {
    match (left.canonicalize(), right.canonicalize()) {
        (Ok(left), Ok(right)) => left == right,
        // What does not exist yet is no input.
        _ => false,
    }
}

/// What is called on the first error of an output.
pub(crate) type Gone = Box<dyn Fn(&io::Error) + Send>;

/// Writes lines, and flushes once per batch. After the first error it writes nothing more: an
/// output with a gap would be worse than one that ends.
pub(crate) struct Outlet<W: Write> {
    writer: BufWriter<W>,
    status: Arc<Status>,
    /// Lines written since the last flush.
    unflushed: u64,
    is_gone: bool,
    gone: Gone,
}

impl<W: Write> Outlet<W> {
    /// An output, and its status.
    pub(crate) fn new(writer: W, gone: Gone) -> (Self, Arc<Status>) {
        let status = Arc::new(Status::default());
        let writer = BufWriter::with_capacity(64 * 1024, writer);
        (Self { writer, status: status.clone(), unflushed: 0, is_gone: false, gone }, status)
    }

    fn attempt(&mut self, write: impl FnOnce(&mut BufWriter<W>) -> io::Result<()>) -> Result<(), BoxError> {
        if self.is_gone {
            let cause = self.status.error().map_or_else(String::new, |kind| format!(": {kind}"));
            return Err(format!("not written after an earlier error{cause}").into());
        }
        write(&mut self.writer).map_err(|error| {
            self.is_gone = true;
            (self.gone)(&error);
            let text = error.to_string();
            *self.status.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            text.into()
        })
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        self.attempt(BufWriter::flush)?;
        self.status.written.fetch_add(std::mem::take(&mut self.unflushed), Ordering::Release);
        Ok(())
    }
}

impl<W: Write + Send + 'static> Handler<Line> for Outlet<W> {
    fn handle(&mut self, line: Line) -> Result<(), BoxError> {
        self.attempt(|writer| writer.write_all(&line))?;
        self.unflushed += 1;
        Ok(())
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        self.flush()
    }

    fn close(&mut self) -> Result<(), BoxError> {
        // The first error is in the ledger and was printed; once is enough.
        let _ = self.flush();
        Ok(())
    }
}
