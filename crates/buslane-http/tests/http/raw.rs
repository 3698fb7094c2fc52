//! A loopback server below HTTP, whose bytes the test determines.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A server that calls the test's script with each connection and its number. Its threads end with
/// the test process.
pub(crate) struct Raw {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Raw {
    pub(crate) fn start(script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (script, count) = (Arc::new(script), connections.clone());
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (script, number) = (script.clone(), count.fetch_add(1, Ordering::SeqCst));
                thread::spawn(move || script(connection, number));
            }
        });
        Self { address, connections }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Returns the number of connections accepted until now.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads the head of a request, and no byte beyond it.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Reads a whole request: its head, and its body by `Content-Length`.
pub(crate) fn read_request(stream: &mut impl Read) -> (String, Vec<u8>) {
    let head = read_head(stream);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    (head, body)
}

/// Starts a server that reads one request, writes these bytes, and closes the connection cleanly.
pub(crate) fn answers(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Raw {
    Raw::start(move |mut stream, _| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(answer.as_ref());
    })
}
