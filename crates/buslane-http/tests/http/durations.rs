//! Tests of very long durations, including those that overflow a clock.

use buslane::retry::Backoff;
use buslane::testing::ManualClock;
use buslane::{Sink, SinkExt, sink_fn};
use buslane_http::{HttpRetry, HttpSink};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;
use test_support::ends;

/// Durations near or beyond the range of a clock.
const LONG: [Duration; 5] = [
    Duration::MAX,
    Duration::new(u64::MAX, 0),
    Duration::new(i64::MAX as u64, 0),
    Duration::from_nanos(u64::MAX),
    Duration::from_secs(1_000 * 365 * 24 * 3600),
];

#[test]
fn http_requests_take_every_timeout() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let _ =
                connection.write_all(b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = connection.read(&mut [0; 4096]);
        }
    });
    for long in LONG {
        let url = url.clone();
        ends(move || {
            let http = || HttpSink::builder(&url).direct().timeout(long).timeout(long).build().unwrap();
            assert!(http().write("hello").is_ok());
            assert!(SinkExt::<&str>::timeout(http(), long).write("hello").is_ok());
        });
    }
}

#[test]
fn http_retry_takes_every_retry_after() {
    for long in LONG {
        ends(move || {
            let backoff = Backoff::new(long, long).max_attempts(5);
            let policy = HttpRetry::new(backoff).max_retry_after(long);
            let failing = sink_fn(|_: &u32| Err("no route")).retry(policy);
            assert!(failing.clock(ManualClock::hurrying()).write(1).is_err());
        });
    }
}
