//! The bytes that a client has not read yet.

use super::socket::Stream;
use std::io::{self, Write};

/// The most bytes that wait for a client. A client that lets more of them wait is disconnected.
pub(super) const LIMIT: usize = 1024 * 1024;

#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends one chunk of a response of unknown length, or the bytes alone for HTTP/1.0.
    pub(super) fn push_chunk(&mut self, bytes: &[u8], chunked: bool) {
        if !chunked {
            return self.push(bytes);
        }
        // An empty chunk would end the response.
        if !bytes.is_empty() {
            self.push(format!("{:x}\r\n", bytes.len()).as_bytes());
            self.push(bytes);
            self.push(b"\r\n");
        }
    }

    /// Writes until everything is sent, or the client accepts no further bytes. Returns `false` in
    /// the second case.
    pub(super) fn send(&mut self, stream: &mut Stream) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            match stream.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Keeps the memory in proportion to what waits.
                    self.bytes.drain(..self.sent);
                    self.sent = 0;
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(LIMIT / 16);
        self.sent = 0;
        Ok(true)
    }
}
