//! A service that is inspected where its environment says so.

use super::{Directory, get, status};
use buslane::Bus;
use buslane_inspect::At;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The variable by which a test starts the service's process.
const PROCESS: &str = "BUSLANE_INSPECT_TEST_PROCESS";

/// The start of the line that tells what the service does.
const MARK: &str = "service: ";

/// The service, which is no test of its own: it serves until its standard input ends.
#[test]
fn service_process() {
    if std::env::var_os(PROCESS).is_none() {
        return;
    }
    let bus = Bus::<u64>::new();
    buslane_inspect::register("orders", &bus);
    // Every line of the test's own harness is another one.
    println!();
    match buslane_inspect::serve_from_env() {
        Ok(None) => println!("{MARK}nothing"),
        Ok(Some(serving)) => {
            println!("{MARK}{}", serving.at());
            let _ = std::io::stdin().read_line(&mut String::new());
        }
        Err(error) => println!("{MARK}{error}"),
    }
}

/// A process with a value of the variable.
struct Service {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Service {
    fn start(value: Option<&OsStr>, runtime: &Directory) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["environment::service_process", "--exact", "--nocapture"]);
        command.env(PROCESS, "1").env("XDG_RUNTIME_DIR", &runtime.0).env_remove(buslane_inspect::VARIABLE);
        if let Some(value) = value {
            command.env(buslane_inspect::VARIABLE, value);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Returns what the service does.
    fn says(&mut self) -> String {
        let mut lines = (&mut self.output).lines().map(Result::unwrap);
        let found = lines.find_map(|line| line.strip_prefix(MARK).map(str::to_owned));
        found.expect("the service tells what it does")
    }

    /// Ends the service as a user would, and waits for it.
    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn says(value: Option<&OsStr>) -> String {
    Service::start(value, &Directory::new()).says()
}

#[test]
fn service_without_the_variable_serves_nothing() {
    assert_eq!(says(None), "nothing");
    assert_eq!(says(Some(OsStr::new(""))), "nothing");
}

#[test]
fn variable_names_a_port() {
    let mut service = Service::start(Some(OsStr::new("127.0.0.1:0")), &Directory::new());
    let at: At = service.says().parse().unwrap();
    let answer = get(&at, "/snapshot");
    assert_eq!(status(&answer), 200);
    assert!(answer.contains(r#""name":"orders""#), "{answer}");
    service.end();
}

#[test]
fn variable_names_a_path() {
    let directory = Directory::new();
    let path = directory.socket();
    let value: OsString = format!("unix:{}", path.display()).into();
    let mut service = Service::start(Some(&value), &directory);
    assert_eq!(service.says(), directory.at().to_string());
    assert_eq!(status(&get(&directory.at(), "/snapshot")), 200);
    service.end();
    assert!(!path.exists(), "the socket is gone with its service");
}

#[test]
fn variable_asks_for_the_default_socket() {
    let directory = Directory::new();
    let mut service = Service::start(Some(OsStr::new("unix")), &directory);
    let path: PathBuf = directory.0.join(format!("buslane/{}.sock", service.child.id()));
    assert_eq!(service.says(), format!("unix:{}", path.display()));
    assert_eq!(status(&get(&At::Unix(path.clone()), "/snapshot")), 200);
    service.end();
    assert!(!path.exists());
}

#[test]
fn invalid_values_are_named() {
    let invalid = "is invalid: it must be unix, unix:/path or 127.0.0.1:port";
    for value in ["0.0.0.0:9000", "unix:relative", "yes", "127.0.0.1:70000"] {
        assert_eq!(says(Some(OsStr::new(value))), format!("address {value:?} {invalid}"));
    }
    let bytes = OsString::from_vec(b"unix:/tmp/\xff.sock".to_vec());
    let text = says(Some(&bytes));
    assert!(text.starts_with("address \"unix:/tmp/") && text.ends_with(invalid), "{text}");
}
