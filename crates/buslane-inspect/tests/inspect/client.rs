//! The client: targets, errors in words, and services that are none.

use super::{Directory, bus};
use buslane_inspect::client::{Client, ClientError, Target, find, list};
use buslane_inspect::{At, Inspector};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

#[test]
fn targets_are_read_from_text() {
    for (text, shown) in [
        ("/run/a.sock", "/run/a.sock"),
        ("unix:/run/a.sock", "/run/a.sock"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("localhost:9000", "127.0.0.1:9000"),
        ("./a", "./a"),
    ] {
        assert_eq!(text.parse::<Target>().unwrap().to_string(), shown);
    }
    for text in ["", "nothing", "unix:", "99999999999", "127.0.0.1:99999"] {
        let error = text.parse::<Target>().unwrap_err();
        assert!(error.to_string().contains(" is invalid: "), "{error}");
    }
    assert!(matches!("4294967295".parse::<Target>(), Err(ClientError::NoService(_))));
    for text in ["unix:relative", "127.0.0.2:1", "0.0.0.0:1", "[::1]:1", "localhost", "unix:", "127.0.0.1"] {
        assert!(text.parse::<At>().is_err(), "{text}");
    }
}

#[test]
fn missing_services_are_named() {
    let directory = Directory::new();
    let missing = Client::connect(Target::Unix(directory.socket())).unwrap_err();
    assert!(matches!(&missing, ClientError::NoService(_)), "{missing}");
    drop(UnixListener::bind(directory.socket()).unwrap());
    let stale = Client::connect(Target::Unix(directory.socket())).unwrap_err();
    assert!(matches!(&stale, ClientError::NoService(path) if path.ends_with("/socket")), "{stale}");
}

/// Answers one connection with these bytes.
fn answering(bytes: &'static [u8]) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(bytes);
    });
    Target::Tcp(address)
}

#[test]
fn answers_of_other_programs_are_errors() {
    let no_service: [&[u8]; 8] = [
        b"",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
    ];
    for bytes in no_service {
        let error = Client::connect(answering(bytes)).unwrap_err();
        assert!(matches!(error, ClientError::NotAService(_) | ClientError::Io(_)), "{error:?}");
    }
    let error =
        Client::connect(answering(b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nbusy\n")).unwrap_err();
    assert!(matches!(&error, ClientError::Status(503, text) if text == "busy"), "{error:?}");
    let newer = b"HTTP/1.1 200 OK\r\n\r\n{\"version\":2,\"buses\":\"of another type\"}\n";
    let error = Client::connect(answering(newer)).unwrap_err();
    assert!(matches!(error, ClientError::TooNew(2)), "{error:?}");
    assert!(error.to_string().ends_with("update it"), "{error}");
}

#[test]
fn frames_are_followed_until_the_service_ends() {
    let bus = bus();
    let serving = Inspector::builder().register("orders", &bus).serve(At::Loopback(0)).unwrap();
    let client = Client::connect(serving.at().into()).unwrap();
    let mut frames = client.follow(Duration::from_millis(100)).unwrap();
    let (first, second) = (frames.next().unwrap().unwrap(), frames.next().unwrap().unwrap());
    assert!(first.at_ms <= second.at_ms);
    assert_eq!((first.pid, first.started_ms), (second.pid, second.started_ms));
    let refused = client.follow(Duration::from_millis(1)).unwrap_err();
    assert!(matches!(&refused, ClientError::Status(400, text) if text.contains("at least 100")), "{refused}");
    drop(serving);
    let ends = frames.take_while(Result::is_ok).count();
    assert!(ends < 100);
}

#[test]
fn services_of_this_user_are_found() {
    let pid = std::process::id();
    assert!(list().iter().all(|found| found.pid != pid));
    let bus = bus();
    let serving = match Inspector::builder().register("orders", &bus).serve(At::default_unix()) {
        Ok(serving) => serving,
        Err(error) => panic!("{error}"),
    };
    assert!(
        list().iter().any(|found| found.pid == pid && found.state == buslane_inspect::client::State::Alive)
    );
    assert_eq!(find(pid).unwrap(), Target::from(serving.at()));
    assert_eq!(Client::connect(pid.to_string().parse().unwrap()).unwrap().snapshot().unwrap().pid, pid);
    drop(serving);
    assert!(matches!(find(pid), Err(ClientError::NoService(_))));
}
