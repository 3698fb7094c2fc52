//! The bus and its sinks: one queue for each output, and the counter.

use crate::counter::{Count, Counter};
use crate::message::Line;
use crate::options::Options;
use crate::outlet::{self, Gone, Outlet, Status};
use buslane::stats::{CloseReport, Snapshot};
use buslane::{Bus, Overflow, Queue, Sink, SinkExt};
use demo_support::Failure;
use demo_support::Interrupt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The bus, and what its sinks have to say.
pub(crate) struct FanOut {
    pub(crate) bus: Bus<Line>,
    /// In the order in which they stand on the bus, the counter last.
    outputs: Vec<Output>,
    count: Arc<Count>,
}

/// One output on the bus.
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) status: Arc<Status>,
}

/// What the sinks leave behind.
pub(crate) struct Finished {
    pub(crate) close: CloseReport,
    pub(crate) snapshot: Snapshot,
    pub(crate) outputs: Vec<Output>,
    pub(crate) count: Arc<Count>,
}

impl FanOut {
    /// Opens every output, and starts the queues. `end` is asked for the end when the reader of standard output
    /// goes away, and when no output is left; `wake` makes it be seen.
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
                    // Nobody is left to be told if standard error is gone.
                    let _ = writeln!(io::stderr(), "tee: cannot write to {name}: {error}");
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

    /// Closes the bus, lets every output write what it has, and takes stock.
    pub(crate) fn finish(self) -> Finished {
        let Self { bus, outputs, count } = self;
        // However long it takes: who pages through standard output is in no hurry. Ctrl-C ends it.
        let close = bus.close_timeout(Duration::MAX);
        Finished { close, snapshot: bus.snapshot(), outputs, count }
    }
}

fn queue(options: &Options, handler: impl buslane::queue::Handler<Line>) -> Result<Queue<Line>, Failure> {
    let builder = Queue::builder().name("tee").capacity(options.capacity).overflow(Overflow::Block);
    builder.spawn_handler(handler).map_err(|error| Failure::setup("cannot start an output", error))
}

/// Whether a text stands somewhere in a line.
fn contains(line: &[u8], text: &[u8]) -> bool {
    text.is_empty() || line.windows(text.len()).any(|part| part == text)
}
