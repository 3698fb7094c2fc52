//! The log of a whole process: how it begins, and how it ends.

use super::Kept;
#[cfg(feature = "log")]
use super::ledger;
#[cfg(feature = "log")]
use buslane_tracing::Text;
use buslane_tracing::{Init, InitError, Json, init};
use std::process::{Command, Output};
use test_support::GUARD;
use test_support::process::in_child;
use tracing::{debug, error, info};

/// The number of lines that are logged before the end.
const LINES: usize = 500;

/// Runs a test again, alone in a child process with this value of `RUST_LOG`. Returns `None` there.
fn in_child_with(name: &str, levels: &str) -> Option<Output> {
    if std::env::var_os("BUSLANE_TEST_CHILD").is_some() {
        return None;
    }
    let test = format!("process::{name}");
    let child = Command::new(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--nocapture", "--test-threads=1"])
        .env("BUSLANE_TEST_CHILD", "1")
        .env("RUST_LOG", levels)
        .output();
    Some(child.unwrap())
}

/// Returns what a child printed.
fn text(child: &Output) -> String {
    String::from_utf8_lossy(&[&child.stdout[..], &child.stderr].concat()).into_owned()
}

/// Returns the number of lines that a child has logged.
fn logged(child: &Output) -> usize {
    text(child).lines().filter(|line| line.contains(" INFO ") && line.contains("line n=")).count()
}

fn log_lines() {
    (0..LINES).for_each(|n| info!(n, "line"));
}

fn start() -> buslane_tracing::Guard {
    Init::new(std::io::stdout()).writer(|writer| writer.capacity(2 * LINES)).init().unwrap()
}

#[test]
fn return_writes_every_line() {
    match in_child(module_path!(), "return_writes_every_line") {
        Some(child) => {
            assert_eq!((logged(&child), child.status.code()), (LINES, Some(0)), "{}", text(&child))
        }
        None => {
            let _guard = start();
            log_lines();
        }
    }
}

#[test]
fn panic_writes_every_line() {
    match in_child(module_path!(), "panic_writes_every_line") {
        Some(child) => {
            assert_eq!((logged(&child), child.status.code()), (LINES, Some(101)), "{}", text(&child))
        }
        None => {
            let _guard = start();
            log_lines();
            panic!("on purpose");
        }
    }
}

#[test]
fn panic_hook_writes_every_line() {
    match in_child(module_path!(), "panic_hook_writes_every_line") {
        Some(child) => {
            assert_eq!((logged(&child), child.status.code()), (LINES, Some(7)), "{}", text(&child))
        }
        None => {
            let guard = start().flush_on_panic();
            log_lines();
            assert!(std::thread::spawn(|| panic!("on purpose")).join().is_err());
            // Nothing but the hook has flushed.
            std::mem::forget(guard);
            std::process::exit(7);
        }
    }
}

#[test]
fn exit_after_close_writes_every_line() {
    match in_child(module_path!(), "exit_after_close_writes_every_line") {
        Some(child) => {
            assert_eq!((logged(&child), child.status.code()), (LINES, Some(3)), "{}", text(&child))
        }
        None => {
            let guard = start();
            log_lines();
            assert!(guard.close(GUARD).is_done());
            std::process::exit(3);
        }
    }
}

#[test]
fn second_init_is_an_error_and_changes_nothing() {
    match in_child(module_path!(), "second_init_is_an_error_and_changes_nothing") {
        Some(child) => assert!(child.status.success(), "{}", text(&child)),
        None => {
            let (first, second) = (Kept::default(), Kept::default());
            let guard = init(first.clone()).unwrap();
            let error = init(second.clone()).unwrap_err();
            assert!(matches!(error, InitError::Subscriber), "{error}");
            info!("event");
            assert!(guard.close(GUARD).is_done());
            assert_eq!((first.lines().len(), second.lines().len()), (1, 0));
        }
    }
}

#[cfg(feature = "log")]
#[test]
fn logger_of_another_crate_is_an_error() {
    struct Other;
    impl log::Log for Other {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, _: &log::Record<'_>) {}
        fn flush(&self) {}
    }
    match in_child(module_path!(), "logger_of_another_crate_is_an_error") {
        Some(child) => assert!(child.status.success(), "{}", text(&child)),
        None => {
            log::set_logger(&Other).unwrap();
            let dropped = Kept::default();
            let error = init(dropped.clone()).unwrap_err();
            assert!(matches!(error, InitError::Logger), "{error}");
            // Nothing is left running: the worker has dropped its writer, and tracing is as before.
            assert_eq!(std::sync::Arc::strong_count(&dropped.0), 1);
            assert!(!tracing::event_enabled!(tracing::Level::ERROR));
        }
    }
}

#[cfg(feature = "log")]
#[test]
fn init_takes_the_events_of_both_facades() {
    match in_child(module_path!(), "init_takes_the_events_of_both_facades") {
        Some(child) => assert!(child.status.success(), "{}", text(&child)),
        None => {
            let kept = Kept::default();
            let init = Init::new(kept.clone()).format(Text::new().time(false));
            let (guard, levels) = init.init_with_levels().unwrap();
            info!(target: "here", "of tracing");
            log::info!(target: "here", "of log");
            log::debug!("filtered");
            levels.set_level(tracing::Level::DEBUG);
            log::debug!(target: "here", "later");
            assert_eq!(ledger(&guard).refused.total(), 0);
            assert!(guard.close(GUARD).is_done());
            assert_eq!(kept.lines(), [" INFO here: of tracing", " INFO here: of log", "DEBUG here: later"]);
        }
    }
}

#[test]
fn variable_sets_the_levels() {
    match in_child_with("variable_sets_the_levels", "warn,layer=debug") {
        Some(child) => assert!(child.status.success(), "{}", text(&child)),
        None => {
            let kept = Kept::default();
            let guard = Init::new(kept.clone()).format(Json::new()).init().unwrap();
            debug!("seen");
            info!(target: "other", "unseen");
            error!(target: "other", "seen");
            assert!(guard.close(GUARD).is_done());
            assert_eq!(kept.lines().len(), 2, "{}", kept.text());
        }
    }
}

#[test]
fn invalid_variable_is_an_error() {
    match in_child_with("invalid_variable_is_an_error", "info,a=b=c") {
        Some(child) => assert!(child.status.success(), "{}", text(&child)),
        None => {
            let error = init(std::io::sink()).unwrap_err();
            assert!(matches!(error, InitError::Levels(_)));
            let begin = "the levels in the environment variable RUST_LOG are invalid: ";
            assert!(error.to_string().starts_with(begin), "{error}");
            assert!(!tracing::event_enabled!(tracing::Level::ERROR));
            // Without the variable, it works.
            assert!(Init::new(std::io::sink()).levels_from_env("").init().is_ok());
        }
    }
}

#[test]
fn guard_that_is_dropped_at_once_is_reported() {
    match in_child(module_path!(), "guard_that_is_dropped_at_once_is_reported") {
        Some(child) => {
            let text = text(&child);
            assert!(child.status.success(), "{text}");
            assert_eq!(text.matches("came after the bus was closed").count(), 1, "{text}");
        }
        None => {
            drop(init(std::io::stdout()).unwrap());
            (0..100).for_each(|_| error!("lost"));
        }
    }
}

/// Row 10: the destructor of a thread-local value logs to the log of the process.
#[test]
fn event_from_a_destructor_is_written() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            tracing::info_span!("ending").in_scope(|| info!("from a destructor"));
        }
    }
    thread_local! {
        static LAST: std::cell::RefCell<Vec<Last>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    match in_child(module_path!(), "event_from_a_destructor_is_written") {
        Some(child) => assert!(child.status.success(), "{}", text(&child)),
        None => {
            let kept = Kept::default();
            let guard = init(kept.clone()).unwrap();
            for lines in [0, 1, 100] {
                let thread = std::thread::spawn(move || {
                    (0..lines).for_each(|_| info!("before"));
                    LAST.with(|last| last.borrow_mut().push(Last));
                    (0..lines).for_each(|_| info!("before"));
                });
                assert!(thread.join().is_ok());
            }
            assert!(guard.close(GUARD).is_done());
            let text = kept.text();
            assert_eq!(text.matches("from a destructor").count(), 3, "{text}");
        }
    }
}
