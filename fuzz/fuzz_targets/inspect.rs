//! The requests to an inspected service: the fuzzer's input is sent to a server on a Unix socket. For
//! every input the connection ends, the server still answers the next client, and its parser agrees
//! with itself on every part of the input.
#![no_main]

use buslane::Bus;
use buslane_inspect::{At, Inspector, Serving, parses};
use libfuzzer_sys::fuzz_target;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;
use std::time::Duration;

static SERVICE: LazyLock<(Bus<u64>, Serving)> = LazyLock::new(|| {
    let bus = Bus::new();
    let path = std::env::temp_dir().join(format!("fuzz-inspect-{}", std::process::id()));
    let inspector = Inspector::builder().tap("orders", &bus, |event| *event);
    let serving = inspector.serve(At::Unix(path)).expect("a socket in the temporary directory");
    (bus, serving)
});

/// Sends bytes, and returns what the server answers until it ends the connection.
fn ask(bytes: &[u8]) -> Vec<u8> {
    let At::Unix(path) = SERVICE.1.at() else { panic!("a path was given") };
    let mut stream = UnixStream::connect(path).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit of more than zero");
    // The server may refuse the request before it has read all of it.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection does not end"),
        _ => answer,
    }
}

fuzz_target!(|bytes: &[u8]| {
    for is_tcp in [false, true] {
        // What is complete stays complete, whatever follows it.
        if parses(bytes, is_tcp) {
            let longer = [bytes, b"GET / HTTP/1.1\r\n"].concat();
            assert!(parses(&longer, is_tcp));
        }
    }
    let answer = ask(bytes);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
    assert!(ask(b"GET /snapshot HTTP/1.0\r\n\r\n").starts_with(b"HTTP/1.1 200 OK\r\n"));
});
