//! A service that runs for a test, its clients, and what it leaves.

use crate::client::{Answer, Client, get, post};
use demo_support::Folder;
use demo_support::output::{self, assert_balanced};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_service");

/// The time after which a read fails instead of hanging.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// A service that is running.
pub(crate) struct Service {
    child: Child,
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

/// How a service ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The last line, if it is a report.
    pub(crate) report: Value,
    pub(crate) errors: String,
}

/// Calls `run` with the arguments of a service whose files are in a folder, and more of them.
#[track_caller]
pub(crate) fn with_arguments<R>(folder: &Folder, more: &[&str], run: impl FnOnce(&[&str]) -> R) -> R {
    let (database, log) = (folder.file("orders.db"), folder.file("service.log"));
    let first = ["--json", "serve", "--database", &database, "--log", &log];
    run(&[&first, more].concat())
}

impl Service {
    /// Starts a service with its files in the folder, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(folder: &Folder, more: &[&str]) -> Self {
        let mut child = with_arguments(folder, more, |arguments| output::start(PROGRAM, arguments));
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut service = Self { child, output, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let text = service.read_until("listens on ");
        let (_, address) = text.rsplit_once(' ').expect("an address");
        service.address = address.parse().expect("an address");
        service
    }

    /// Reads the story up to a text that begins so.
    #[track_caller]
    pub(crate) fn read_until(&mut self, begin: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.output.read_line(&mut line).expect("a line") > 0, "no {begin:?}: {}", self.errors());
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if let Some(text) = line["text"].as_str().filter(|text| text.starts_with(begin)) {
                return text.to_owned();
            }
        }
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        let mut errors = self.child.stderr.take().expect("a pipe");
        errors.read_to_string(&mut text).expect("a text");
        text
    }

    /// Connects a client.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        connect(self.address).expect("a connection")
    }

    /// Sends a signal, named as `kill` names it.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("a text");
        let errors = self.errors();
        assert!(!errors.contains("panicked at"), "{errors}");
        let status = self.child.wait().expect("an end");
        let last = text.lines().last().unwrap_or("null");
        Ended { status, report: serde_json::from_str(last).expect("JSON"), errors }
    }

    /// Sends SIGTERM, and returns the report, in which everything balances.
    #[track_caller]
    pub(crate) fn stop(self) -> Value {
        self.signal("-TERM");
        self.wait().balanced()
    }
}

impl Ended {
    /// Returns the report, in which everything balances.
    #[track_caller]
    pub(crate) fn balanced(self) -> Value {
        let Self { status, report, errors } = self;
        assert!(status.success(), "{status}: {errors}{report}");
        assert_eq!(report["type"], "report");
        assert_balanced(&report);
        report
    }

    /// Checks that the process was killed, so that there is no report.
    #[track_caller]
    pub(crate) fn killed(self) {
        assert_eq!(self.status.signal(), Some(9), "{}", self.report);
        assert_ne!(self.report["type"], "report");
    }
}

pub(crate) fn connect(address: SocketAddr) -> io::Result<Client> {
    Client::connect(address, GUARD)
}

/// The request of an order.
pub(crate) fn order(item: &str, quantity: u32) -> String {
    post("/orders", &json!({"item": item, "quantity": quantity}).to_string())
}

/// Reads an answer as JSON.
#[track_caller]
pub(crate) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// Sends a request on a connection of its own, and returns the status and the text.
#[track_caller]
pub(crate) fn ask(service: &Service, request: &str) -> (u16, String) {
    let answer = service.client().request(request).expect("an answer");
    (answer.status, String::from_utf8(answer.body).expect("a text"))
}

/// Reads a path as JSON.
#[track_caller]
pub(crate) fn read(service: &Service, path: &str) -> Value {
    let (status, text) = ask(service, &get(path));
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Places orders one after the other, and returns their numbers.
#[track_caller]
pub(crate) fn place(service: &Service, count: usize) -> Vec<u64> {
    let mut client = service.client();
    let request = order("bolt", 1);
    let answers = (0..count).map(|_| {
        let answer = client.request(&request).expect("an answer");
        assert_eq!(answer.status, 201);
        json(&answer)["id"].as_u64().expect("a number")
    });
    answers.collect()
}

/// Clients that place orders until the service ends.
pub(crate) struct Crowd {
    threads: Vec<JoinHandle<Vec<u64>>>,
    /// Gets a message for each order.
    placed: Receiver<()>,
}

impl Crowd {
    /// Starts a number of clients.
    pub(crate) fn start(service: &Service, clients: usize) -> Self {
        let (placing, placed) = mpsc::channel();
        let threads = (0..clients).map(|_| {
            let (mut client, placing) = (service.client(), placing.clone());
            std::thread::spawn(move || {
                let (request, mut ids) = (order("gear", 1), Vec::new());
                // The end of the connection, or a refusal, is the end of the service.
                while let Ok(answer) = client.request(&request)
                    && answer.status == 201
                {
                    ids.push(json(&answer)["id"].as_u64().expect("a number"));
                    let _ = placing.send(());
                }
                ids
            })
        });
        Self { threads: threads.collect(), placed }
    }

    /// Waits until that many orders were answered.
    #[track_caller]
    pub(crate) fn wait_for(&self, orders: usize) {
        (0..orders).for_each(|_| self.placed.recv_timeout(GUARD).expect("an order"));
    }

    /// Returns the orders that were answered, after the end of the service.
    pub(crate) fn orders(self) -> BTreeSet<u64> {
        self.threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect()
    }
}

/// The numbers of the orders in the database.
#[track_caller]
pub(crate) fn rows(folder: &Folder) -> BTreeSet<u64> {
    let database = rusqlite::Connection::open(folder.file("orders.db")).expect("a database");
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(check, "ok");
    let mut select = database.prepare("SELECT id FROM orders").expect("a table");
    let rows = select.query_map([], |row| row.get::<_, i64>(0)).expect("rows");
    rows.map(|id| id.expect("a number").unsigned_abs()).collect()
}

/// A count in a report, by its path.
#[track_caller]
pub(crate) fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {report}"))
}
