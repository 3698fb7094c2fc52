//! Runs a test in a separate process: the same binary, started again with this one test.

use std::process::{Command, Output};

/// The variable that marks the child process.
const CHILD: &str = "BUSLANE_TEST_CHILD";

/// Starts the test `name` of the calling module again, alone in a child process, and returns what
/// the child printed.
///
/// Returns `None` in the child process. `module` is the caller's `module_path!()`.
///
/// # Panics
/// When the child process cannot be started.
#[must_use]
pub fn in_child(module: &str, name: &str) -> Option<Output> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    // A test's name has the path of its module, without the name of the crate.
    let test = match module.split_once("::") {
        Some((_, module)) => format!("{module}::{name}"),
        None => name.to_owned(),
    };
    let child = Command::new(std::env::current_exe().expect("the path of this program"))
        .args([&test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output();
    Some(child.expect("a child process"))
}
