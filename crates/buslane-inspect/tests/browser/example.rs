//! The example `inspect` as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running example. Its drop kills it.
#[derive(Debug)]
pub(crate) struct Example {
    child: Child,
    /// Where it serves, such as `127.0.0.1:9000`.
    pub(crate) at: String,
}

impl Example {
    /// Starts the example at an address, and waits until it serves.
    pub(crate) fn start(at: &str, arguments: &[&str]) -> Self {
        // Cargo builds examples next to the tests.
        let this = std::env::current_exe().unwrap();
        let program = this.parent().and_then(Path::parent).unwrap().join("examples/inspect");
        let mut child = Command::new(&program)
            .arg(at)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `bash .ci/browser`", program.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.trim().strip_prefix("serving at ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, at }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
