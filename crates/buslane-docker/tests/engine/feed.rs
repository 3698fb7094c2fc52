//! The library under test, and a listener that it is compared with.

use super::happened::Happened;
use buslane::retry::Backoff;
use buslane::source::{Monitor, Update};
use buslane::testing::Collect;
use buslane_docker::{DockerEvent, DockerSourceBuilder, DockerToken};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};
use test_support::{GUARD, wait_for};

/// A monitor, and the updates that it forwarded.
pub(crate) struct Feed {
    pub(crate) monitor: Monitor<DockerToken>,
    pub(crate) seen: Collect<Update<DockerEvent>>,
}

impl Feed {
    /// Starts a monitor and waits until it is live.
    #[track_caller]
    pub(crate) fn start(source: DockerSourceBuilder, token: Option<DockerToken>) -> Self {
        let seen = Collect::new();
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(20));
        let monitor = Monitor::builder(source.build().unwrap()).backoff(backoff).resume(token);
        let monitor = monitor.spawn(seen.clone()).unwrap();
        monitor.wait_live(GUARD).unwrap();
        Self { monitor, seen }
    }

    /// Waits until the feed shows this event, and returns its updates.
    #[track_caller]
    pub(crate) fn wait_shown(&self, last: &Happened) -> Vec<Update<DockerEvent>> {
        let shows = |update: &Update<DockerEvent>| matches!(update, Update::Event(event) if Happened::of(event) == *last);
        let mut checked = 0;
        wait_for(|| {
            if self.seen.len() == checked {
                thread::sleep(Duration::from_millis(1));
                return false;
            }
            let updates = self.seen.events();
            checked = updates.len();
            updates.iter().rev().any(shows)
        });
        self.seen.events()
    }

    /// Waits until the monitor has connected as often.
    #[track_caller]
    pub(crate) fn wait_connects(&self, connects: u64) {
        wait_for(|| self.monitor.snapshot().connects >= connects);
    }

    #[track_caller]
    pub(crate) fn stop(&self) {
        let report = self.monitor.stop_timeout(GUARD);
        assert!(report.is_done(), "{report}");
    }
}

/// A client that reads the events of one life of the engine, from before its first line until the
/// engine ends, by nothing but a socket.
pub(crate) struct Listener {
    thread: JoinHandle<Vec<Happened>>,
}

impl Listener {
    pub(crate) fn start(socket: &Path) -> Self {
        // The engine writes its head before it subscribes the client, and so takes from its history
        // what happened meanwhile. Its clock is that of this machine.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let mut stream = UnixStream::connect(socket).unwrap();
        let since = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        write!(stream, "GET /events?since={since} HTTP/1.0\r\nHost: engine\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        let thread = thread::spawn(move || {
            let lines = reader.lines().map_while(Result::ok).filter(|line| !line.is_empty());
            lines.map(|line| Happened::of(&serde_json::from_str(&line).expect(&line))).collect()
        });
        Self { thread }
    }

    /// Returns everything that it got, once the engine has ended.
    #[track_caller]
    pub(crate) fn ended(self) -> Vec<Happened> {
        self.thread.join().unwrap()
    }
}
