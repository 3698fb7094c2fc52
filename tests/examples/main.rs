//! Runs each example as a program, and checks that it prints exactly the text in its documentation.
//!
//! `cargo test` builds the examples before it runs the tests. `cargo test --test examples` does not
//! build them again.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, io, thread};

/// The most lines that an example may have.
const MAX_LINES: usize = 60;

/// The time limit of an example, after which the test fails instead of hanging. An example takes
/// milliseconds.
const LIMIT: Duration = Duration::from_secs(120);

/// One file of `examples`.
struct Example {
    name: String,
    path: PathBuf,
    source: String,
}

impl Example {
    /// Returns the text of the example's `//!` comment.
    fn documentation(&self) -> Vec<&str> {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect()
    }

    /// Returns the only text block in the example's documentation.
    fn documented_output(&self) -> String {
        let lines = self.documentation();
        let [begin, end] = ["```text", "```"].map(|fence| lines.iter().position(|line| *line == fence));
        let block = begin.zip(end).map(|(begin, end)| &lines[begin + 1..end]);
        let block = block
            .unwrap_or_else(|| panic!("{}: the documentation has no text block with the output", self.name));
        block.iter().flat_map(|line| [*line, "\n"]).collect()
    }

    /// Returns the path of the program, which cargo builds next to the tests.
    fn program(&self) -> PathBuf {
        let this = std::env::current_exe().expect("the path of this test");
        let target = this.parent().and_then(Path::parent).expect("a directory below the target directory");
        target.join("examples").join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX))
    }

    /// Checks that the program exists, and that its source has not changed since it was built.
    fn check_build(&self) {
        let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let (built, source) = (changed(&self.program()), changed(&self.path));
        assert!(
            built >= source,
            "{} is missing or older than its source: run `cargo test`, or `cargo build --examples` first",
            self.program().display()
        );
    }
}

/// Returns all examples, sorted by name.
fn examples() -> Vec<Example> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(directory).expect("the directory of the examples");
    let mut examples: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry of the directory").path();
            let source = fs::read_to_string(&path).expect("an example is one file of text");
            let name =
                path.file_stem().and_then(|name| name.to_str()).expect("a name that is text").to_owned();
            Example { name, path, source }
        })
        .collect();
    examples.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(examples.len() >= 10, "{} examples", examples.len());
    examples
}

/// Runs an example, and returns its exit status, standard output and standard error.
fn run(example: &Example) -> (ExitStatus, String, String) {
    let mut command = Command::new(example.program());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", example.name));
    let (mut stdout, mut stderr) =
        (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Neither output fills a pipe, so they can be read in turn.
        let printed = io::read_to_string(&mut stdout).expect("text on standard output");
        let errors = io::read_to_string(&mut stderr).expect("text on standard error");
        let _ = sender.send((printed, errors));
    });
    let Ok((printed, errors)) = receiver.recv_timeout(LIMIT) else {
        let _ = child.kill();
        panic!("{} printed no text, or did not end within {LIMIT:?}", example.name);
    };
    (child.wait().expect("an exit status"), printed, errors)
}

#[test]
fn each_example_prints_its_documented_output() {
    for example in examples() {
        example.check_build();
        let (status, printed, errors) = run(&example);
        assert!(status.success() && errors.is_empty(), "{}: {status}\n{errors}", example.name);
        assert_eq!(printed, example.documented_output(), "the output of {}", example.name);
    }
}

#[test]
fn each_example_documents_its_command() {
    for example in examples() {
        let command = format!("`cargo run --example {}`", example.name);
        assert!(example.documentation().join("\n").contains(&command), "{}: no {command}", example.name);
    }
}

#[test]
fn each_example_is_short() {
    for example in examples() {
        let lines = example.source.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines, more than {MAX_LINES}", example.name);
    }
}

#[test]
fn crate_page_lists_each_example() {
    let page = include_str!("../../src/lib.rs");
    for example in examples() {
        let row = format!("\n//! | `{}` | ", example.name);
        assert!(page.contains(&row), "src/lib.rs does not list {}", example.name);
    }
}
