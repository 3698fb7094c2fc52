//! The answers of a server to an HTTP sink: a loopback server answers with the fuzzer's input. For
//! every input the write ends, the event comes back or the answer was a success, and a retry policy
//! has a decision.
#![no_main]

use buslane::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
use buslane::{Sink, WriteError};
use buslane_http::{HttpError, HttpRetry, HttpSink};
use libfuzzer_sys::fuzz_target;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The server's next answer.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The sink, whose server runs on a separate thread.
static SINK: LazyLock<HttpSink<u64>> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client may have disconnected.
            let _ = serve(stream);
        }
    });
    let sink = HttpSink::builder(&format!("http://{address}/")).timeout(Duration::from_secs(5));
    sink.build().expect("a URL, and a limit of more than zero")
});

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    // Headers and body arrive in one part or two; an answer may come before the end of the request.
    let mut question = [0; 4096];
    let _ = stream.read(&mut question)?;
    let answer = ANSWER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    stream.write_all(&answer)?;
    stream.shutdown(Shutdown::Write)?;
    // Reads to the end, so that the answer is not lost with the connection.
    while stream.read(&mut question)? > 0 {}
    Ok(())
}

/// Returns whether a line of the answer is a status line with 2xx. RFC 9112, 4: any white space may
/// separate its parts.
fn says_success(answer: &[u8]) -> bool {
    answer.split(|byte| *byte == b'\n').any(|line| {
        let mut parts = line.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty());
        parts.next().is_some_and(|version| version.starts_with(b"HTTP/1."))
            && parts.next().is_some_and(|status| status.len() == 3 && status[0] == b'2')
    })
}

fuzz_target!(|answer: &[u8]| {
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = answer.to_vec();
    match SINK.write(7) {
        Ok(()) => assert!(says_success(answer), "a failure was treated as a success"),
        Err(WriteError::Failed { event, source }) => {
            assert_eq!(event, 7);
            let error = source.downcast_ref::<HttpError>().expect("an error of this sink");
            let _ = (error.to_string(), error.is_retryable(), error.status());
            let policy = HttpRetry::new(Backoff::default()).max_retry_after(Duration::from_secs(30));
            let attempt = Attempt::new(1, Duration::ZERO, AttemptError::Failed(&*source));
            if let Next::After(wait) = RetryPolicy::<u64>::failure(&policy, &7, &attempt) {
                assert!(wait <= Duration::from_secs(30), "{wait:?}");
            }
        }
        Err(WriteError::Timeout(event)) => assert_eq!(event, 7),
        Err(other) => panic!("{other}"),
    }
});
