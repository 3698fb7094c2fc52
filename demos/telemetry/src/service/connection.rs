//! The service's end of a connection.

use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read, Write};

/// The longest request line. A client that sends a longer one is disconnected.
const LONGEST_LINE: usize = 64 * 1024;

/// The service's end of a connection, which never waits.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// Whether the peer may still send something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Open,
    Ended,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, input: Vec::new(), output: Vec::new() }
    }

    /// Takes in what has come, answers each whole line, and sends what the system takes now.
    ///
    /// # Errors
    /// Those of the socket, and a line that is too long.
    pub(crate) fn advance(&mut self, mut answer: impl FnMut(&[u8], &mut Vec<u8>)) -> io::Result<Progress> {
        let progress = self.receive()?;
        let mut rest = self.input.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            answer(&rest[..end], &mut self.output);
            rest = &rest[end + 1..];
        }
        let answered = self.input.len() - rest.len();
        self.input.drain(..answered);
        self.send()?;
        Ok(progress)
    }

    /// Reads until nothing is left: the system tells only of what comes later.
    fn receive(&mut self) -> io::Result<Progress> {
        let mut buffer = [0; 4096];
        while self.input.len() <= LONGEST_LINE {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Progress::Ended),
                Ok(length) => self.input.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Open),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::InvalidData, "the request is too long"))
    }

    /// Writes what the system takes now.
    fn send(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
