//! A program that was written for tracing-appender, compiled against both crates: only the name of the
//! crate differs.

use crate::Recorder;
use test_support::wait_for;

macro_rules! program {
    ($name:ident, $library:ident) => {
        #[test]
        fn $name() {
            use std::io::Write;
            use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt};
            use $library::non_blocking;
            use $library::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

            #[derive(Debug)]
            struct Logging {
                writer: NonBlocking,
                errors: ErrorCounter,
                guard: Option<WorkerGuard>,
            }
            impl Logging {
                fn new((writer, guard): (NonBlocking, WorkerGuard)) -> Self {
                    Self { errors: writer.error_counter(), writer, guard: Some(guard) }
                }
            }
            let builder =
                || NonBlockingBuilder::default().buffered_lines_limit(64).lossy(false).thread_name("log");
            let starts: [fn(Recorder, NonBlockingBuilder) -> (NonBlocking, WorkerGuard); 4] = [
                |recorder, _| $library::non_blocking(recorder.writer()),
                |recorder, _| non_blocking(recorder.writer()),
                |recorder, _| NonBlocking::new(recorder.writer()),
                |recorder, builder| builder.finish(recorder.writer()),
            ];
            for start in starts {
                let recorder = Recorder::new();
                let mut logging = Logging::new(start(recorder.clone(), builder()));
                let log = |number: u32| tracing::info!(number, "event");
                let lines = || tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
                let direct = lines().with_writer(logging.writer.clone()).finish();
                tracing::subscriber::with_default(direct, || log(1));
                let limited = logging.writer.clone().with_max_level(tracing::Level::INFO);
                tracing::subscriber::with_default(lines().with_writer(limited).finish(), || log(2));
                let boxed = BoxMakeWriter::new(logging.writer.clone());
                tracing::subscriber::with_default(lines().with_writer(boxed).finish(), || log(3));
                logging.writer.write_all(b"a line of its own\n").unwrap();
                logging.writer.flush().unwrap();
                drop(logging.guard.take());
                // The guard of tracing-appender waits for one second at most.
                wait_for(|| recorder.lines().len() == 4);
                let expected = [
                    " INFO event number=1",
                    " INFO event number=2",
                    " INFO event number=3",
                    "a line of its own",
                ];
                assert_eq!(recorder.lines(), expected);
                assert_eq!(logging.errors.dropped_lines(), 0);
                assert_eq!(logging.errors.clone().dropped_lines(), 0);
            }
        }
    };
}

program!(program_runs_with_tracing_appender, tracing_appender);
program!(program_runs_with_buslane_tracing, buslane_tracing);
