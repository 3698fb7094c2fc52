//! Where the log lines go: through buslane, through a peer, to the file directly, or nowhere.
//!
//! All kinds write the same lines to the same kind of file. Only the way there differs:
//!
//! | kind | on the thread of the request | on a thread of its own |
//! |---|---|---|
//! | `off` | nothing: there is no subscriber | |
//! | `buslane` | a record with typed fields is published | the line is formatted and written |
//! | `non_blocking` | the line is formatted and published | the line is written |
//! | `appender` | the line is formatted and sent through a channel | the line is written |
//! | `plain` | the line is formatted and written | |

mod file;
mod kind;

pub(crate) use kind::Kind;

use buslane::Bus;
use buslane::stats::{Ledger, Snapshot};
use buslane_tracing::{Guard, Init, Record};
use demo_support::{Failure, grouped, number_of};
use file::LogFile;
use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};

/// What log lines of an answer contain, and no other line does.
const ANSWERED: &str = "answered status=";

/// The telemetry of a running service.
#[derive(Debug)]
pub(crate) struct Telemetry {
    kind: Kind,
    file: LogFile,
    /// `None` after the close.
    running: Mutex<Option<Running>>,
}

/// What has to be closed, and what counts losses.
enum Running {
    /// There is nothing to close.
    Plain,
    Buslane(Guard, Bus<Record>),
    NonBlocking(Guard),
    Appender(WorkerGuard, ErrorCounter),
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Buslane(..) => "Buslane",
            Self::NonBlocking(_) => "NonBlocking",
            Self::Appender(..) => "Appender",
        })
    }
}

/// What became of the log lines.
#[derive(Debug, Serialize)]
pub(crate) struct LogReport {
    pub(crate) kind: Kind,
    /// Lines that were appended to the file; `None` if it cannot be read again.
    pub(crate) lines: Option<u64>,
    /// Of these, the lines of answers.
    pub(crate) answers: Option<u64>,
    /// Lines that were lost and counted; `None` where losses are not counted. With
    /// [`Kind::Buslane`] these are records: the begin and the end of a span count as well.
    pub(crate) lost: Option<u64>,
    /// The ledger of the lines or records, where there is one.
    pub(crate) ledger: Option<Ledger>,
    /// Why the close left lines behind, or the file could not be read again.
    pub(crate) trouble: Option<String>,
}

impl LogReport {
    /// Returns what became of the lines, in a few words.
    pub(crate) fn summary(&self) -> String {
        let lines = self
            .lines
            .map_or_else(|| "lines that cannot be read again".to_owned(), |lines| number_of(lines, "line"));
        let lost = self
            .lost
            .map_or_else(|| "losses are not counted".to_owned(), |lost| format!("{} lost", grouped(lost)));
        format!("{}: {lines}, {lost}", self.kind)
    }
}

impl Telemetry {
    /// Starts to write lines to the file, for all threads of the process.
    pub(crate) fn start(kind: Kind, path: &Path) -> Result<Self, Failure> {
        let cannot_open = |error| Failure::setup(format!("cannot open the log {}", path.display()), error);
        let cannot_start =
            |error: &dyn fmt::Display| Failure::setup(format!("cannot start telemetry {kind}"), error);
        let (file, log) = LogFile::open(path).map_err(cannot_open)?;
        let lines = || tracing_subscriber::fmt().with_ansi(false).with_max_level(Level::INFO);
        let running = match kind {
            Kind::Off => Running::Plain,
            Kind::Buslane => {
                // The level is that of the other kinds, whatever the environment says.
                let init = Init::new(log).levels_from_env("");
                let bus = init.bus();
                Running::Buslane(init.init().map_err(|error| cannot_start(&error))?, bus)
            }
            Kind::NonBlocking => {
                let (writer, guard) = buslane_tracing::non_blocking(log);
                lines().with_writer(writer).try_init().map_err(|error| cannot_start(&error))?;
                Running::NonBlocking(guard)
            }
            Kind::Appender => {
                let (writer, guard) = NonBlockingBuilder::default().finish(log);
                let losses = writer.error_counter();
                lines().with_writer(writer).try_init().map_err(|error| cannot_start(&error))?;
                Running::Appender(guard, losses)
            }
            Kind::Plain => {
                lines().with_writer(Arc::new(log)).try_init().map_err(|error| cannot_start(&error))?;
                Running::Plain
            }
        };
        Ok(Self { kind, file, running: Mutex::new(Some(running)) })
    }

    /// Returns how many lines were lost up to now; `None` where losses are not counted.
    pub(crate) fn lost(&self) -> Option<u64> {
        self.ask(Running::lost)
    }

    /// Returns the state of the bus of the records, where there is one.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.ask(|running| match running {
            Running::Buslane(_, bus) => Some(bus.snapshot()),
            _ => None,
        })
    }

    fn ask<R>(&self, question: impl FnOnce(&Running) -> Option<R>) -> Option<R> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(question)
    }

    /// Writes the lines that were logged before, and accepts no further ones.
    pub(crate) fn close(&self, limit: Duration) -> LogReport {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (lost, ledger, mut trouble) = running.map_or((None, None, None), |running| running.close(limit));
        let counts = self.file.count(ANSWERED).unwrap_or_else(|error| {
            trouble.get_or_insert(format!("the log cannot be read again: {error}"));
            None
        });
        let (lines, answers) = counts.map(|counts| (counts.lines, counts.with_text)).unzip();
        LogReport { kind: self.kind, lines, answers, lost, ledger, trouble }
    }
}

impl Running {
    fn lost(&self) -> Option<u64> {
        match self {
            Self::Plain => None,
            Self::Buslane(guard, _) | Self::NonBlocking(guard) => Some(lost(&guard.ledger())),
            Self::Appender(_, losses) => Some(losses.dropped_lines() as u64),
        }
    }

    /// Returns the losses, the ledger, and what went wrong.
    fn close(self, limit: Duration) -> (Option<u64>, Option<Ledger>, Option<String>) {
        match self {
            Self::Plain => (None, None, None),
            Self::Buslane(guard, _) | Self::NonBlocking(guard) => {
                // No thread logs any more, so the ledger is final after the flush.
                let flush = guard.flush(limit);
                let ledger = guard.ledger();
                let close = guard.close(limit);
                let trouble = (!flush.is_done() || !close.is_done())
                    .then(|| format!("the log was not written: flush: {flush}, close: {close}"));
                (Some(lost(&ledger)), Some(ledger), trouble)
            }
            Self::Appender(guard, losses) => {
                // It waits for a second at most, and reports nothing.
                drop(guard);
                (Some(losses.dropped_lines() as u64), None, None)
            }
        }
    }
}

/// Lines that were offered and will not be written.
fn lost(ledger: &Ledger) -> u64 {
    ledger.refused.total() + ledger.dropped.total()
}
