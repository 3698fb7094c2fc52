//! Too large, too slow, too many: each is refused or disconnected, and the service does not notice.

use super::{Directory, ask, assert_unaffected, body, bus, connect, connect_unix, get, serve, status};
use buslane::noop;
use buslane_inspect::client::{Client, ClientError};
use std::io::{Read, Write};
use test_support::wait_for;

#[test]
fn large_requests_are_refused() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let at = serving.at();
        let long = "x".repeat(9000);
        for request in [
            format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {long}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(65)),
            "y".repeat(200_000),
        ] {
            let answer = ask(at, &request);
            assert!([400, 413].contains(&status(&answer)), "{answer}");
            assert_eq!(body(&answer).lines().count(), 1);
        }
        assert_unaffected(&bus);
    }
}

#[test]
fn half_a_request_ends_after_its_time() {
    let (bus, directory) = (bus(), Directory::new());
    let servings = serve(&bus, &directory);
    let halves: Vec<_> = servings
        .iter()
        .map(|serving| {
            let mut stream = connect(serving.at());
            stream.write_all(b"GET /snapshot HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    // Others are served meanwhile.
    assert_eq!(status(&get(servings[0].at(), "/snapshot")), 200);
    assert_unaffected(&bus);
    for mut stream in halves {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(status(&answer), 408, "{answer}");
    }
}

#[test]
fn clients_that_leave_early_are_forgotten() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        for request in [
            "",
            "G",
            "GET /snapshots HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /tap?bus=orders HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ] {
            for _ in 0..40 {
                // It may be one too many, and closed already.
                let _ = connect(serving.at()).write_all(request.as_bytes());
            }
        }
        wait_for(|| bus.snapshot().sinks.len() == 1);
        wait_for(|| Client::connect(serving.at().into()).is_ok());
        assert_unaffected(&bus);
    }
}

#[test]
fn hundred_silent_connections_give_way() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let silent: Vec<_> = (0..100).map(|_| connect(serving.at())).collect();
        for _ in 0..10 {
            assert_eq!(status(&get(serving.at(), "/snapshot")), 200);
        }
        assert_unaffected(&bus);
        drop(silent);
    }
}

#[test]
fn hundred_connections_that_never_read_leave_others_room() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let deaf: Vec<_> = (0..100)
            .map(|number| {
                let mut stream = connect(serving.at());
                // Those that are too many may be closed before they ask.
                let sent = stream.write_all(b"GET /snapshots?every=100 HTTP/1.1\r\nHost: localhost\r\n\r\n");
                if number < 32 {
                    // It is served from here on, and never reads again.
                    let mut status = [0; 15];
                    sent.and_then(|()| stream.read_exact(&mut status)).unwrap();
                    assert_eq!(&status, b"HTTP/1.1 200 OK");
                }
                stream
            })
            .collect();
        // Some are told that they are too many, and others are closed.
        wait_for(|| {
            let refused = Client::connect(serving.at().into()).unwrap_err();
            matches!(refused, ClientError::Status(503, _))
        });
        assert_unaffected(&bus);
        drop(deaf);
        wait_for(|| Client::connect(serving.at().into()).is_ok());
    }
}

#[test]
fn slow_readers_are_disconnected() {
    let (bus, directory) = (bus(), Directory::new());
    // Frames of about a megabyte, so that few of them fill what may wait.
    for number in 0..20 {
        bus.add_named(&format!("{number}{}", "x".repeat(50_000)), noop()).unwrap();
    }
    let [_port, socket] = serve(&bus, &directory);
    let mut slow = connect_unix(&directory.socket());
    slow.write_all(b"GET /snapshots?every=100 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut quick = connect_unix(&directory.socket());
    quick.write_all(b"GET /snapshots?every=100 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut buffer = vec![0; 1 << 20];
    wait_for(|| {
        assert_ne!(quick.read(&mut buffer).unwrap(), 0, "a reader that keeps up stays connected");
        slow.write_all(b"x").is_err()
    });
    assert_unaffected(&bus);
    drop(socket);
}
