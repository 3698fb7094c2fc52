//! The `log` facade.

use super::{BEGIN, Gated, Kept, OnDebug, check, records};
use buslane::Bus;
use buslane_tracing::{
    Clock, Init, Json, Kind, Logger, ManualTime, Record, RecordWriter, Text, Value, logger,
};
use log::{Level, LevelFilter, Log};
use std::cell::RefCell;
use test_support::heap::heap_of;
use test_support::process::in_child;
use test_support::{GUARD, ends};
use tracing_subscriber::layer::SubscriberExt;

/// Logs through a logger that is not the one of the process.
fn log(logger: &dyn Log, level: Level, target: &str, args: std::fmt::Arguments<'_>) {
    let path = Some(module_path!());
    let mut builder = log::Record::builder();
    builder.level(level).target(target).module_path_static(path).file_static(Some("file.rs")).line(Some(7));
    logger.log(&builder.args(args).build());
}

fn manual(bus: &Bus<Record>, most: LevelFilter) -> Logger {
    logger(bus, most).clock(Clock::Manual(ManualTime::new(BEGIN)))
}

#[test]
fn record_has_the_place_of_its_event() {
    let (bus, mut receiver) = records();
    let logger = manual(&bus, LevelFilter::Info);
    log(&logger, Level::Warn, "my_service::db", format_args!("no answer"));
    let record = receiver.recv().unwrap();
    assert_eq!((record.level(), record.target()), (&tracing::Level::WARN, "my_service::db"));
    assert_eq!((record.message(), record.timestamp()), ("no answer", BEGIN));
    assert_eq!((record.file(), record.line()), (Some("file.rs"), Some(7)));
    assert_eq!(record.value("message"), Some(Value::Debug("no answer")));
}

#[test]
fn macros_log_with_the_metadata_of_their_place() {
    let (bus, mut receiver) = records();
    let logger = manual(&bus, LevelFilter::Info);
    log::set_max_level(LevelFilter::Info);
    for n in 0..3 {
        log::warn!(logger: logger, "constant");
        log::info!(logger: logger, "number {n}");
        log::info!(logger: logger, target: "db", "elsewhere");
    }
    let all: Vec<Record> = receiver.drain().collect();
    for (n, records) in all.chunks(3).enumerate() {
        let messages = records.iter().map(Record::message);
        assert!(messages.eq(["constant", &*format!("number {n}"), "elsewhere"]));
        assert!(records.iter().map(Record::target).eq([module_path!(), module_path!(), "db"]));
        let lines: Vec<_> = records.iter().map(|record| record.line().unwrap()).collect();
        assert_eq!(lines, [lines[0], lines[0] + 1, lines[0] + 2]);
        assert!(records.iter().all(|record| record.file() == Some(file!()) && record.metadata().is_event()));
        assert!(std::ptr::eq(records[0].metadata(), all[0].metadata()));
        assert_eq!(records[0].fields().count(), 1);
    }
    assert_eq!(all.len(), 9);
}

#[test]
fn formatted_message_is_in_the_record() {
    let (bus, mut receiver) = records();
    let logger = manual(&bus, LevelFilter::Info);
    let long = "x".repeat(3000);
    log(&logger, Level::Info, "t", format_args!("{} and {long}", 1));
    assert_eq!(receiver.recv().unwrap().message(), format!("1 and {long}"));
}

#[test]
fn cut_record_keeps_its_place() {
    let (bus, mut receiver) = records();
    let logger = manual(&bus, LevelFilter::Info);
    // Longer than a record can be.
    let long = "x".repeat(100_000);
    log(&logger, Level::Info, "my_service::db", format_args!("{long}"));
    let record = receiver.recv().unwrap();
    assert!(record.is_truncated() && long.starts_with(record.message()) && !record.message().is_empty());
    assert_eq!((record.target(), record.file(), record.line()), ("my_service::db", Some("file.rs"), Some(7)));
}

#[test]
fn record_in_a_span_of_tracing_has_none() {
    let (bus, mut receiver) = records();
    let logger = manual(&bus, LevelFilter::Info);
    let layer = buslane_tracing::layer(&bus).build();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::info_span!("request", id = 7).entered();
        log(&logger, Level::Info, "t", format_args!("from the facade"));
        tracing::info!("from tracing");
    });
    let events: Vec<_> = receiver.drain().filter(|record| record.kind() == Kind::Event).collect();
    let spans: Vec<_> = events.iter().map(|record| (record.message(), record.span().is_some())).collect();
    assert_eq!(spans, [("from the facade", false), ("from tracing", true)]);
}

#[test]
fn flush_ends_while_the_writer_hangs() {
    let (hanging, bus) = (Gated::new(), Bus::new());
    let Gated(gate, kept) = hanging.clone();
    let guard = RecordWriter::new(Text::new().time(false), hanging).start(&bus).unwrap();
    let logger = manual(&bus, LevelFilter::Info);
    log(&logger, Level::Info, "db", format_args!("held"));
    gate.wait_reached(1);
    ends(move || logger.flush());
    assert_eq!(kept.text(), "");
    gate.open();
    assert!(guard.close(GUARD).is_done());
    assert_eq!(kept.lines(), [" INFO db: held"]);
}

#[test]
fn lines_show_the_place_once() {
    let write = |format: Text| {
        let (bus, kept) = (Bus::new(), Kept::default());
        let guard = RecordWriter::new(format, kept.clone()).start(&bus).unwrap();
        log(&manual(&bus, LevelFilter::Info), Level::Info, "db", format_args!("no answer"));
        assert!(guard.close(GUARD).is_done());
        kept.lines()
    };
    assert_eq!(write(Text::new()), ["2023-11-14T22:13:20.123456Z  INFO db: no answer"]);
    assert_eq!(write(Text::new().time(false).source(true)), [" INFO db: file.rs:7: no answer"]);
    let (bus, kept) = (Bus::new(), Kept::default());
    let guard = RecordWriter::new(Json::new().time(false), kept.clone()).start(&bus).unwrap();
    log(&manual(&bus, LevelFilter::Info), Level::Info, "db", format_args!("no answer"));
    assert!(guard.close(GUARD).is_done());
    assert_eq!(kept.lines(), [r#"{"level":"INFO","fields":{"message":"no answer"},"target":"db"}"#]);
}

#[test]
fn levels_hold_for_each_target() {
    let (bus, mut receiver) = records();
    let logger = manual(&bus, LevelFilter::Info).targets("warn,db=debug,layer=info".parse().unwrap());
    let levels = logger.levels();
    let round = |receiver: &mut buslane::Receiver<Record>| {
        for level in Level::iter() {
            log(&logger, level, "db", format_args!("db"));
            log(&logger, level, "other", format_args!("other"));
            log(&logger, level, module_path!(), format_args!("static"));
        }
        let count = |text: &str, all: &[Record]| all.iter().filter(|record| record.message() == text).count();
        let all: Vec<Record> = receiver.drain().collect();
        (count("db", &all), count("other", &all), count("static", &all))
    };
    // Twice, since the second time the answers are known.
    assert_eq!((round(&mut receiver), round(&mut receiver)), ((4, 2, 3), (4, 2, 3)));
    levels.set("error,db=off,layer=trace".parse().unwrap());
    assert_eq!((round(&mut receiver), round(&mut receiver)), ((0, 1, 5), (0, 1, 5)));
    let metadata = |level| log::Metadata::builder().level(level).target("other").build();
    assert!(logger.enabled(&metadata(Level::Error)) && !logger.enabled(&metadata(Level::Warn)));
}

#[test]
fn flush_waits_until_the_line_is_written() {
    let (bus, kept) = (Bus::new(), Kept::default());
    let guard = RecordWriter::new(Text::new().time(false), kept.clone()).start(&bus).unwrap();
    let logger = manual(&bus, LevelFilter::Info);
    for n in 1..=100 {
        log(&logger, Level::Info, "db", format_args!("{n}"));
        logger.flush();
        assert_eq!(kept.lines().len(), n);
    }
    assert_eq!(check(guard.ledger()).delivered, 100);
}

#[test]
fn record_allocates_nothing_on_its_thread() {
    let (bus, mut receiver) = records();
    let logger = manual(&bus, LevelFilter::Info);
    let write = || {
        log(&logger, Level::Info, module_path!(), format_args!("constant"));
        log(&logger, Level::Info, "dynamic", format_args!("{} {:?}", 1, Some("text")));
        log(&logger, Level::Debug, "dynamic", format_args!("disabled"));
    };
    (0..100).for_each(|_| write());
    receiver.drain().for_each(drop);
    let (heap, ()) = heap_of(|| (0..100).for_each(|_| write()));
    assert_eq!(heap.allocations, 0, "{heap:?}");
}

#[test]
fn nested_record_is_suppressed() {
    let (bus, mut receiver) = records();
    let logger = manual(&bus, LevelFilter::Info);
    let nested = OnDebug(|| log(&logger, Level::Info, "t", format_args!("nested")));
    log(&logger, Level::Info, "t", format_args!("outer {nested:?}"));
    let messages: Vec<_> = receiver.drain().map(|record| record.message().to_owned()).collect();
    assert_eq!(messages, ["outer formatted"]);
    let unpublished = logger.unpublished();
    assert_eq!((unpublished.suppressed(), unpublished.late()), (1, 0));
    assert!(bus.close().is_done());
    log(&logger, Level::Info, "t", format_args!("late"));
    assert_eq!((unpublished.suppressed(), unpublished.late()), (1, 1));
}

/// Logs by the facade when it is dropped.
struct LogsOnDrop(&'static str);

impl Drop for LogsOnDrop {
    fn drop(&mut self) {
        log::info!("end of {}", self.0);
    }
}

thread_local! {
    static LAST: RefCell<Vec<LogsOnDrop>> = const { RefCell::new(Vec::new()) };
}

/// Rows 10 and 40: what the facade logs at the end of a thread and of the process is written.
#[test]
fn ends_of_threads_and_of_the_process_are_written() {
    let name = "ends_of_threads_and_of_the_process_are_written";
    if let Some(child) = in_child(module_path!(), name) {
        let text = String::from_utf8_lossy(&child.stdout);
        assert_eq!(child.status.code(), Some(5), "{}", String::from_utf8_lossy(&child.stderr));
        for end in ["end of a new thread", "end of a busy thread", "end of main"] {
            assert!(text.contains(&format!(" INFO layer::log: {end}\n")), "no {end} in {text}");
        }
        return;
    }
    let guard = Init::new(std::io::stdout()).levels_from_env("").init().unwrap();
    for (thread, lines) in [("a new thread", 0), ("a busy thread", 100)] {
        let work = move || {
            LAST.with_borrow_mut(|last| last.push(LogsOnDrop(thread)));
            (0..lines).for_each(|line| log::info!("line {line}"));
        };
        std::thread::spawn(work).join().unwrap();
    }
    let ending = LogsOnDrop("main");
    drop(ending);
    // Without a close, nothing but the flush has the lines written before the exit.
    log::logger().flush();
    std::mem::forget(guard);
    std::process::exit(5);
}

/// Row 40: the logger of the process loses nothing at the end.
#[test]
fn installed_logger_writes_what_macros_log() {
    let name = "installed_logger_writes_what_macros_log";
    if let Some(child) = in_child(module_path!(), name) {
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        assert!(text.contains(" INFO layer::log: seen 1\n") && text.contains("DEBUG db: seen 2\n"), "{text}");
        assert!(!text.contains("unseen"), "{text}");
        return;
    }
    let bus = Bus::new();
    let guard = RecordWriter::new(Text::new().time(false), std::io::stdout()).start::<204>(&bus).unwrap();
    let logger = logger(&bus, LevelFilter::Info);
    let levels = logger.levels();
    logger.install().unwrap();
    assert_eq!(log::max_level(), LevelFilter::Info);
    log::info!("seen {}", 1);
    log::debug!("unseen");
    levels.set("off,db=debug".parse().unwrap());
    assert_eq!(log::max_level(), LevelFilter::Debug);
    log::info!("unseen");
    log::debug!(target: "db", "seen 2");
    log::logger().flush();
    assert!(buslane_tracing::logger(&bus, LevelFilter::Info).install().is_err());
    assert!(guard.close(GUARD).is_done());
}
