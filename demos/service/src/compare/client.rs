//! A client of HTTP/1.1, as much of it as the service needs: one request at a time on a connection
//! that is kept, bodies with a length, and streams of chunks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// What was received and not read yet: `buffer[begin..]`.
    buffer: Vec<u8>,
    begin: usize,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The length of a body.
pub(crate) enum Length {
    Bytes(usize),
    Chunks,
}

impl Client {
    /// Connects. A read that takes longer than the limit is an error.
    pub(crate) fn connect(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        Ok(Self::on(stream))
    }

    /// Uses a connection.
    pub(crate) fn on(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), begin: 0 }
    }

    /// Sends a request, and reads the answer.
    pub(crate) fn request(&mut self, request: &str) -> io::Result<Answer> {
        self.send(request)?;
        self.answer()
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: &str) -> io::Result<()> {
        self.stream.write_all(request.as_bytes())
    }

    /// Reads the next answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let (status, length) = self.head()?;
        let mut body = Vec::new();
        match length {
            Length::Bytes(bytes) => self.take(bytes, &mut body)?,
            Length::Chunks => while self.chunk(&mut body)? {},
        }
        Ok(Answer { status, body })
    }

    /// Appends the next chunk of a stream, and returns whether there was one: the last one is empty.
    pub(crate) fn chunk(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let line = self.line()?;
        let size = usize::from_str_radix(&line, 16).map_err(|_| invalid("the size of a chunk", &line))?;
        self.take(size, into)?;
        match self.line()? {
            line if line.is_empty() => Ok(size > 0),
            line => Err(invalid("the end of a chunk", &line)),
        }
    }

    /// Reads the head of an answer: its status, and how long its body is.
    pub(crate) fn head(&mut self) -> io::Result<(u16, Length)> {
        let first = self.line()?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| invalid("the status", &first))?;
        let mut length = Length::Bytes(0);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, length));
            }
            let Some((name, value)) = line.split_once(':') else { return Err(invalid("a header", &line)) };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = Length::Bytes(value.parse().map_err(|_| invalid("the length", value))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked" {
                length = Length::Chunks;
            }
        }
    }

    /// Reads a line, without its end.
    fn line(&mut self) -> io::Result<String> {
        let mut searched = self.begin;
        loop {
            if let Some(end) = self.buffer[searched..].windows(2).position(|pair| pair == b"\r\n") {
                let end = searched + end;
                let line = String::from_utf8_lossy(&self.buffer[self.begin..end]).into_owned();
                self.begin = end + 2;
                return Ok(line);
            }
            // The last byte may be the first one of a pair.
            searched = self.buffer.len().saturating_sub(1).max(self.begin);
            if self.buffer.len() - self.begin > LONGEST_HEAD {
                return Err(io::Error::other("a line of the answer is too long"));
            }
            let moved = self.begin;
            self.fill()?;
            searched -= moved - self.begin;
        }
    }

    /// Appends a number of bytes of the body.
    fn take(&mut self, mut bytes: usize, into: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let part = bytes.min(self.buffer.len() - self.begin);
            into.extend_from_slice(&self.buffer[self.begin..self.begin + part]);
            self.begin += part;
            bytes -= part;
            if bytes == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Waits for more, and moves what is left to the beginning of the buffer.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let mut part = [0; 4096];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.buffer.extend_from_slice(&part[..read]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn invalid(what: &str, text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} of an answer is invalid: {text:?}"))
}

/// A request without a body.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: service\r\n\r\n")
}

/// A request that sends JSON.
pub(crate) fn post(path: &str, json: &str) -> String {
    let length = json.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: service\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}"
    )
}
