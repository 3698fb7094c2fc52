//! One frame on standard output, for scripts and for a log.

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::model::Model;
use crate::service::{Found, Service, find, has_bus};
use crate::source::replay::Replay;
use crate::source::{Recorder, Update};
use crate::table::Table;
use crate::view::plain;
use buslane_inspect::Frame;
use std::io::{self, Write, stdout};
use std::path::Path;
use std::time::Instant;

/// Prints a frame.
///
/// # Errors
/// When the service does not answer, or standard output fails.
pub(crate) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let text = if arguments.json { json(&arguments)? } else { table(arguments)? };
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        // The reader of a pipe has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::new(format_args!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(0),
    }
}

/// Returns the frame as it came; of a recording, the last one.
fn json(arguments: &Arguments) -> Result<String, Failure> {
    let mut text = match &arguments.replay {
        Some(path) => last(path, |_| {})?,
        None => {
            let service = only(arguments)?;
            let text = service.client.snapshot_text().map_err(Failure::new)?;
            if let Some(path) = &arguments.output {
                Recorder::open(path)?.line(&text)?;
            }
            text
        }
    };
    text.push('\n');
    Ok(text)
}

/// Returns the table of the sinks, with the rates between two frames.
fn table(arguments: Arguments) -> Result<String, Failure> {
    let mut model = Model::default();
    let mut observe = |frame: Frame| model.apply(Update::Frame(Box::new(frame)), Instant::now());
    match &arguments.replay {
        Some(path) => drop(last(path, observe)?),
        None => {
            let service = only(&arguments)?;
            let mut recorder = arguments.output.as_deref().map(Recorder::open).transpose()?;
            for frame in service.client.follow(arguments.every).map_err(Failure::new)?.take(2) {
                let frame = frame.map_err(Failure::new)?;
                recorder.as_mut().map_or(Ok(()), |recorder| recorder.record(&frame))?;
                observe(frame);
            }
        }
    }
    let frame = model.frame().ok_or_else(|| Failure::new("the service has closed the connection"))?;
    has_bus(frame, arguments.bus.as_deref())?;
    let table = Table {
        bus: arguments.bus,
        sort: arguments.sort,
        is_reversed: arguments.reverse,
        ..Table::default()
    };
    Ok(plain::text(&model, &table))
}

/// Passes all frames of a recording on, and returns the text of the last one.
fn last(path: &Path, mut observe: impl FnMut(Frame)) -> Result<String, Failure> {
    let (mut replay, mut last) = (Replay::open(path)?, None);
    while let Some((text, frame)) = replay.next()? {
        last = Some(text);
        observe(frame);
    }
    last.ok_or_else(|| Failure::new(format_args!("{} has no frame", path.display())))
}

/// Returns the only service that the arguments name.
fn only(arguments: &Arguments) -> Result<Service, Failure> {
    match find(arguments.target.as_deref())? {
        Found::One(service) => Ok(service),
        Found::Several(candidates) => {
            let names: Vec<_> = candidates.iter().map(ToString::to_string).collect();
            Err(Failure::new(format_args!(
                "{} services run: name one by its process id ({})",
                names.len(),
                names.join(", ")
            )))
        }
    }
}
