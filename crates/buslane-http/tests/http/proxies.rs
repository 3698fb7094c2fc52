//! Tests of proxies: which one is chosen, and the requests that it gets.

use crate::raw::{Raw, read_head, read_request};
use crate::{Push, failure, tls};
use buslane::Sink;
use buslane_http::{HttpConfigErrorKind, HttpError, HttpSink, HttpSinkBuilder};
use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use test_support::{GUARD, Outcome, outcome};

type Heads = Arc<Mutex<Vec<String>>>;

/// Starts a proxy that answers forwarded requests itself, opens tunnels, and records the requests
/// of both kinds.
fn proxy() -> (Raw, Heads) {
    let heads = Heads::default();
    let kept = heads.clone();
    let raw = Raw::start(move |mut stream, _| {
        loop {
            let (head, body) = read_request(&mut stream);
            if head.is_empty() {
                return;
            }
            kept.lock().unwrap().push(head.clone() + &String::from_utf8(body).unwrap());
            if let Some(target) = head.strip_prefix("CONNECT ") {
                let endpoint = TcpStream::connect(target.split(' ').next().unwrap()).unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 Open\r\nX: 1\r\n 2\r\n\r\n");
                let (mut up, mut down) =
                    ((stream.try_clone().unwrap(), endpoint.try_clone().unwrap()), (endpoint, stream));
                thread::spawn(move || {
                    let _ = copy(&mut up.0, &mut up.1);
                    let _ = up.1.shutdown(Shutdown::Write);
                });
                let _ = copy(&mut down.0, &mut down.1);
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 201 Forwarded\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (raw, heads)
}

fn through(url: &str, raw: &Raw) -> HttpSink<Push> {
    builder(url, raw).build().unwrap()
}

fn builder(url: &str, raw: &Raw) -> HttpSinkBuilder<Push> {
    let proxy = format!("http://user:p%40ss@{}", raw.address());
    HttpSink::builder(url).proxy(&proxy).timeout(GUARD)
}

#[test]
fn plain_http_request_carries_the_whole_url() {
    let (raw, heads) = proxy();
    let http = through("http://endpoint.invalid:8080/hook?a=b", &raw);
    for event in ["one", "two"] {
        assert_eq!(outcome(http.write(Push(event))), Outcome::Accepted);
    }
    let heads = heads.lock().unwrap();
    for (head, event) in heads.iter().zip(["one", "two"]) {
        assert!(head.starts_with("POST http://endpoint.invalid:8080/hook?a=b HTTP/1.1\r\n"), "{head}");
        let lower = head.to_lowercase();
        assert!(lower.contains("\r\nhost: endpoint.invalid:8080\r\n"), "{head}");
        assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
        assert!(head.ends_with(&format!("\r\n\r\n\"{event}\"")), "{head}");
    }
    assert_eq!((heads.len(), raw.connections()), (2, 1), "one connection for both");
}

#[test]
fn https_goes_through_a_tunnel() {
    let (raw, heads) = proxy();
    let endpoint = tls::server();
    let http = builder(&format!("https://{endpoint}/hook?secret"), &raw);
    let http = http.root_certificates(tls::AUTHORITY).build().unwrap();
    for _ in 0..2 {
        assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
    }
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 1, "one tunnel for both");
    assert!(
        heads[0].starts_with(&format!("CONNECT {endpoint} HTTP/1.1\r\nHost: {endpoint}\r\n")),
        "{heads:?}"
    );
    assert!(heads[0].contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{heads:?}");
}

#[test]
fn proxy_over_tls_forwards_and_tunnels() {
    let served = tls::serve(|stream| {
        let head = read_head(stream);
        if head.starts_with("CONNECT") {
            stream.get_mut().write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")?;
            return stream.get_mut().flush();
        }
        assert!(head.starts_with("POST http://endpoint.invalid/ HTTP/1.1\r\n"), "{head}");
        stream.read_exact(&mut [0; 7])?;
        stream.get_mut().write_all(b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n")?;
        stream.get_mut().flush()
    });
    let sink = |url| {
        let http = HttpSink::builder(url).proxy(&format!("https://{served}")).timeout(GUARD);
        http.root_certificates(tls::AUTHORITY).build().unwrap()
    };
    assert_eq!(outcome(sink("http://endpoint.invalid/").write(Push("hello"))), Outcome::Accepted);
    let (_, error) = failure(sink("https://endpoint.invalid/").write(Push("hello")));
    assert!(matches!(error, HttpError::Proxy { status: 403, .. }), "{error}");
}

#[test]
fn tunnel_refusal_is_classified_by_its_status() {
    for (status, retryable) in [(407, false), (403, false), (502, true), (503, true), (429, true)] {
        let raw = Raw::start(move |mut stream, _| {
            read_head(&mut stream);
            let _ = write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        });
        let (_, error) = failure(through("https://endpoint.invalid/", &raw).write(Push("hello")));
        assert!(matches!(error, HttpError::Proxy { status: found, .. } if found == status), "{error}");
        assert_eq!((error.is_retryable(), error.status()), (retryable, None));
        let (_, error) = failure(through("http://endpoint.invalid/", &raw).write(Push("hello")));
        assert_eq!((error.is_retryable(), error.status()), (retryable, Some(status)));
    }
    let gone = Raw::start(|stream, _| drop(stream));
    assert!(failure(through("https://endpoint.invalid/", &gone).write(Push("hello"))).1.is_retryable());
}

#[test]
fn unusable_proxy_error_keeps_its_value_secret() {
    for url in [
        "",
        "socks5://user:hunter2@proxy:1080",
        "ftp://user:hunter2@proxy",
        "http://",
        "http://user:hunter2@",
        "http://user:hunter2@proxy:port",
        "http://user:hunter2@proxy:0",
        "http://user:hunter2@proxy:99999",
        "http://user:hunter2@pro xy",
        "http:/proxy/hunter2",
    ] {
        let error = HttpSink::<Push>::builder("http://endpoint/").proxy(url).build().unwrap_err();
        assert_eq!(error.kind(), HttpConfigErrorKind::Proxy, "{url}");
        assert!(error.to_string().starts_with("proxy is invalid: "), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    for url in
        ["proxy", "proxy:3128", "http://proxy", "HTTP://proxy:1/", "https://[::1]:1", "user:p@10.0.0.1:80"]
    {
        let http = HttpSink::<Push>::builder("http://endpoint/").proxy(url).build();
        assert!(http.is_ok(), "{url}");
    }
    let http =
        HttpSink::<Push>::builder("http://endpoint/").proxy("http://user:hunter2@proxy").build().unwrap();
    assert!(!format!("{http:?}").contains("hunter2"));
}

/// Runs in a child process of [`environment_selects_the_proxy`], whose environment that test sets.
#[test]
fn child_reports_what_its_environment_names() {
    let Ok(url) = std::env::var("BUSLANE_TEST_URL") else { return };
    match HttpSink::<Push>::builder(&url).timeout(GUARD).build() {
        Ok(http) => {
            let _ = http.write(Push("hello"));
            println!("made");
        }
        Err(error) => println!("refused: {error} {error:?}"),
    }
}

#[test]
fn environment_selects_the_proxy() {
    let child = |url: &str, variables: &[(&str, &str)]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "proxies::child_reports_what_its_environment_names", "--nocapture"]);
        command.env_clear().env("BUSLANE_TEST_URL", url).envs(variables.iter().copied());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let (right, heads) = proxy();
    let (wrong, _) = proxy();
    let right_url = format!("http://{}", right.address());
    let wrong_url = format!("http://{}", wrong.address());
    let plain = "http://endpoint.invalid/";

    let said =
        child(plain, &[("http_proxy", &right_url), ("https_proxy", &wrong_url), ("HTTP_PROXY", &wrong_url)]);
    assert!(said.contains("made"), "{said}");
    assert!(heads.lock().unwrap()[0].starts_with("POST http://endpoint.invalid/ "));
    child(plain, &[("HTTP_PROXY", &wrong_url), ("HTTPS_PROXY", &wrong_url), ("ALL_PROXY", &right_url)]);
    assert_eq!(heads.lock().unwrap().len(), 2);
    child("https://127.0.0.1:9/", &[("http_proxy", &wrong_url), ("HTTPS_PROXY", &right_url)]);
    assert!(heads.lock().unwrap()[2].starts_with("CONNECT 127.0.0.1:9 "));
    child(plain, &[("http_proxy", &wrong_url), ("no_proxy", "other, .endpoint.invalid")]);
    child(plain, &[("HTTP_PROXY", &wrong_url)]);
    child(plain, &[("HTTPS_PROXY", &wrong_url)]);
    assert_eq!(wrong.connections(), 0);

    let said = child(plain, &[("http_proxy", "socks5://user:hunter2@proxy"), ("all_proxy", &right_url)]);
    assert!(said.contains("refused: http_proxy is invalid: "), "{said}");
    assert!(!said.contains("hunter2"));
    // Variables that do not apply are not parsed.
    let said = child(plain, &[("https_proxy", "no url"), ("HTTP_PROXY", "no url"), ("http_proxy", "")]);
    assert!(said.contains("made"), "{said}");
}
