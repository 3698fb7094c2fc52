//! The bus and its sinks: one queue for each output, and the counter.

use crate::counter::{Count, Counter};
use crate::message::Line;
use crate::options::Options;
use crate::outlet::{self, Gone, Outlet, Status};
use buslane::stats::{CloseReport, Snapshot};
use buslane::{Bus, Overflow, Queue, Sink, SinkExt};
use demo_support::{Failure, Interrupt, console};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The bus, and what its sinks report.
pub(crate) struct FanOut {
    pub(crate) bus: Bus<Line>,
    /// In the order in which they were added. The counter is the last sink of the bus, and not
    /// among them.
    outputs: Vec<Output>,
    count: Arc<Count>,
}

/// One output on the bus.
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) status: Arc<Status>,
}

/// What the sinks report at the end.
pub(crate) struct Finished {
    pub(crate) close: CloseReport,
    pub(crate) snapshot: Snapshot,
    pub(crate) outputs: Vec<Output>,
    pub(crate) count: Arc<Count>,
}

impl FanOut {
    /// Opens every output, and starts the queues. Requests the `end` when the reader of standard
    /// output goes away, and when no output is left; `wake` makes the publisher check it.
    pub(crate) fn start(
        options: &Options,
        size: Option<u64>,
        end: &Interrupt,
        wake: impl Fn() + Clone + Send + 'static,
    ) -> Result<Self, Failure> {
        let open = |path: &_| outlet::open(path, options.append, options.input.as_deref());
        // All of them before the first line goes anywhere.
        let files: Vec<_> = options
            .files
            .iter()
            .map(|path| Ok((path.display().to_string(), open(path)?)))
            .collect::<Result<_, Failure>>()?;
        let matching: Vec<_> = options
            .matching()
            .map(|(text, path)| Ok((text.as_bytes().to_vec(), path.display().to_string(), open(&path)?)))
            .collect::<Result<_, Failure>>()?;

        let left = Arc::new(AtomicUsize::new(1 + files.len() + matching.len()));
        let gone = |name: &str, is_standard_output: bool| -> Gone {
            let (name, left, end, wake) = (name.to_owned(), left.clone(), end.clone(), wake.clone());
            Box::new(move |error| {
                let is_closed_pipe = error.kind() == io::ErrorKind::BrokenPipe;
                if !is_closed_pipe {
                    console::print_error(format_args!("tee: cannot write to {name}: {error}\n"));
                }
                let was_last = left.fetch_sub(1, Ordering::AcqRel) == 1;
                if was_last || (is_standard_output && is_closed_pipe) {
                    end.ask();
                    wake();
                }
            })
        };
        let bus = Bus::new();
        let mut outputs = Vec::new();
        let mut attach = |name: String, status, sink: Box<dyn Sink<Line>>| {
            bus.add_named(&name, sink)
                .map_err(|error| Failure::setup(format!("cannot add {name}"), error))?;
            outputs.push(Output { name, status });
            Ok(())
        };
        let (outlet, status) = Outlet::new(io::stdout(), gone("standard output", true));
        attach("standard output".to_owned(), status, Box::new(queue(options, outlet)?))?;
        for (name, file) in files {
            let (outlet, status) = Outlet::new(file, gone(&name, false));
            attach(name, status, Box::new(queue(options, outlet)?))?;
        }
        for (text, name, file) in matching {
            let (outlet, status) = Outlet::new(file, gone(&name, false));
            let sink = queue(options, outlet)?.filter(move |line: &Line| contains(line, &text));
            attach(name, status, Box::new(sink))?;
        }
        let (counter, count) = Counter::new(options.progress, size);
        bus.add_named("counter", queue(options, counter)?)
            .map_err(|error| Failure::setup("cannot add the counter", error))?;
        Ok(Self { bus, outputs, count })
    }

    /// Closes the bus, lets every output write what it has, and reads the counters.
    pub(crate) fn finish(self) -> Finished {
        let Self { bus, outputs, count } = self;
        // Without a limit, since standard output may be a pager. Ctrl-C ends it.
        let close = bus.close_timeout(Duration::MAX);
        Finished { close, snapshot: bus.snapshot(), outputs, count }
    }
}

fn queue(options: &Options, handler: impl buslane::queue::Handler<Line>) -> Result<Queue<Line>, Failure> {
    let builder = Queue::builder().name("tee").capacity(options.capacity).overflow(Overflow::Block);
    builder.spawn_handler(handler).map_err(|error| Failure::setup("cannot start an output", error))
}

/// Returns whether a line contains a text.
fn contains(line: &[u8], text: &[u8]) -> bool {
    text.is_empty() || line.windows(text.len()).any(|part| part == text)
}
