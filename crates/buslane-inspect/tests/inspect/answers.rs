//! Paths, verbs and headers, over both kinds of sockets.

use super::{Directory, ask, assert_unaffected, body, bus, connect, get, get_with, serve, status};
use buslane_inspect::{At, Frame, Inspector};
use std::io::{Read, Write};

#[test]
fn every_path_is_answered_on_both_sockets() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let at = serving.at();
        let page = get(at, "/");
        assert_eq!(status(&page), 200, "{page}");
        assert!(
            page.contains("Content-Type: text/html") && page.contains("Content-Security-Policy: "),
            "{page}"
        );
        assert!(!page.contains("__NONCE__") && page.contains("'nonce-"), "{page}");

        let snapshot = get(at, "/snapshot");
        assert!(snapshot.contains("Content-Type: application/json\r\n"), "{snapshot}");
        let frame: Frame = serde_json::from_str(body(&snapshot)).unwrap();
        assert_eq!((frame.program.as_str(), frame.pid), ("test", std::process::id()));
        assert_eq!((frame.buses[0].name.as_str(), frame.buses[0].tap), ("orders", true));

        let metrics = get(at, "/metrics");
        assert!(metrics.contains("application/openmetrics-text"), "{metrics}");
        assert!(metrics.contains("buslane_sink_open{bus=\"orders\",sink=\"audit\"} 1\n"), "{metrics}");
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        let plain = get_with(at, "/metrics", "Accept: text/plain\r\n");
        assert!(plain.contains("text/plain; version=0.0.4") && !plain.contains("# EOF"), "{plain}");
    }
}

#[test]
fn unknown_paths_and_verbs_are_refused_in_words() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let at = serving.at();
        for path in
            ["/unknown", "/snapshot/", "//", "/%2e%2e/etc/passwd", "*", "http://localhost/", "/snapshots/1"]
        {
            let answer = get(at, path);
            assert_eq!(status(&answer), 404, "{path}: {answer}");
            assert!(body(&answer).ends_with("/tap\n") && body(&answer).lines().count() == 1, "{answer}");
        }
        for verb in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "BREW"] {
            let answer = ask(at, format!("{verb} /snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            assert_eq!(status(&answer), 405, "{verb}");
            assert!(answer.contains("Allow: GET\r\n"), "{answer}");
        }
        let with_body = get_with(at, "/snapshot", "Content-Length: 3\r\n");
        assert_eq!(status(&with_body), 400, "{with_body}");
        let bad = [
            "/snapshots?every=99",
            "/snapshots?every=60001",
            "/snapshots?every=",
            "/snapshots?every=-1",
            "/snapshots?rate=1",
            "/tap",
            "/tap?bus=",
            "/tap?bus=orders&every=0",
            "/tap?bus=orders&most=0",
            "/tap?bus=orders&most=many",
            "/tap?bus=%ff",
            "/tap?bus=%4",
            "/tap?bus=orders&more=1",
        ];
        for path in bad {
            let answer = get(at, path);
            assert_eq!((status(&answer), body(&answer).lines().count()), (400, 1), "{path}: {answer}");
        }
        assert_unaffected(&bus);
    }
}

#[test]
fn requests_that_are_not_http_are_refused() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let at = serving.at();
        let bad: [&[u8]; 6] = [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"GET / HTTP/2.0\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            b"\xff\xfe\xfd\r\n\r\n",
        ];
        for request in bad {
            let answer = ask(at, request);
            assert_eq!(status(&answer), 400, "{answer}");
        }
        assert_unaffected(&bus);
    }
}

#[test]
fn port_answers_this_machine_only() {
    let (bus, directory) = (bus(), Directory::new());
    let [port, socket] = serve(&bus, &directory);
    let At::Loopback(number) = *port.at() else { panic!("a port") };
    let request = |host: &str| format!("GET /snapshot HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    for host in
        ["localhost", "LocalHost", "127.0.0.1", "[::1]", &format!("127.0.0.1:{number}"), "localhost:1"]
    {
        assert_eq!(status(&ask(port.at(), request(&format!("Host: {host}\r\n")))), 200, "{host}");
    }
    for host in
        ["example.com", "127.0.0.1.example.com", "localhost.example.com", "", "0.0.0.0", "localhost:port"]
    {
        let request = request(&format!("Host: {host}\r\n"));
        assert_eq!(status(&ask(port.at(), &request)), 403, "{host}");
        assert_eq!(status(&ask(socket.at(), &request)), 200, "{host}");
    }
    assert_eq!(status(&ask(port.at(), request(""))), 403);
    assert_eq!(status(&ask(socket.at(), request(""))), 200);
}

#[test]
fn pages_of_other_origins_are_refused() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let at = serving.at();
        for origin in [
            "http://example.com",
            "https://localhost",
            "null",
            "http://localhost:1",
            "http://localhost.example.com",
        ] {
            let answer = get_with(at, "/snapshot", &format!("Origin: {origin}\r\n"));
            assert_eq!(status(&answer), 403, "{origin}");
            assert!(!answer.contains("Access-Control"), "{answer}");
        }
        let own = get_with(at, "/snapshot", "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n");
        assert_eq!(status(&own), 200);
        assert!(
            own.contains("Cross-Origin-Resource-Policy: same-origin\r\n") && !own.contains("Access-Control")
        );
        for (path, expected) in [("/snapshot", 403), ("/tap?bus=orders", 403), ("/", 200)] {
            assert_eq!(status(&get_with(at, path, "Sec-Fetch-Site: cross-site\r\n")), expected, "{path}");
        }
    }
}

#[test]
fn one_connection_serves_several_requests() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let mut stream = connect(serving.at());
        // The second and the third one are sent before the first is answered.
        let request = "GET /snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let last = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(format!("{request}{request}{last}").as_bytes()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{answers}");
        assert!(answers.ends_with("# EOF\n"));
        // A client of the last century gets the lines without chunks.
        let mut stream = connect(serving.at());
        stream.write_all(b"GET /tap?bus=orders&most=1 HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        test_support::wait_for(|| bus.sink_count() == 2);
        assert!(bus.publish(7).unwrap().is_complete());
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("{\"event\":\"order 7\"}\n{\"end\":\"most\"}\n"), "{rest}");
        assert!(!rest.contains("chunked"));
        test_support::wait_for(|| bus.snapshot().sinks.len() == 1);
    }
}

#[test]
fn ports_of_others_are_refused() {
    let first = Inspector::new().serve(At::Loopback(0)).unwrap();
    let error = Inspector::new().serve(first.at().clone()).unwrap_err();
    assert!(error.to_string().ends_with(": another service answers there"), "{error}");
    let at = first.at().clone();
    first.stop();
    drop(Inspector::new().serve(at).unwrap());
}
