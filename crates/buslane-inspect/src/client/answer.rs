//! The answer of a service: its head, and its body in lines.

use super::stream::Stream;
use crate::error::ClientError;
use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

/// The most bytes of the head of an answer, and of the text of a refusal.
const HEAD: u64 = 16 * 1024;

/// The most bytes of one line of a body, and of a whole body. A frame of 10 000 sinks is smaller.
const BODY: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Answer {
    stream: BufReader<Stream>,
    /// How the end of the body is found.
    left: Left,
}

#[derive(Debug, PartialEq)]
enum Left {
    /// This many bytes.
    Bytes(u64),
    /// Chunks, the current one with this many bytes.
    Chunk(u64),
    /// Until the connection ends.
    All,
    Ended,
}

impl Answer {
    /// Reads the head of an answer.
    pub(super) fn read(stream: Stream) -> Result<Self, ClientError> {
        let mut stream = BufReader::new(stream);
        let (mut status, mut left) = (None, Left::All);
        let mut head = (&mut stream).take(HEAD);
        loop {
            let line = text_line(&mut head)?;
            let Some(line) = line else {
                return Err(ClientError::NotAService("the head is incomplete".to_owned()));
            };
            if status.is_none() {
                let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
                status = Some(code.ok_or_else(|| ClientError::NotAService("it is not HTTP".to_owned()))?);
                continue;
            }
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && left == Left::All {
                let length = value.parse();
                left = Left::Bytes(
                    length.map_err(|_| ClientError::NotAService("its length is invalid".into()))?,
                );
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
            {
                left = Left::Chunk(0);
            }
        }
        let mut answer = Self { stream, left };
        match status {
            Some(200) => Ok(answer),
            other => {
                let reason = answer.body(HEAD).unwrap_or_default();
                Err(ClientError::Status(other.unwrap_or(0), reason.trim_end().to_owned()))
            }
        }
    }

    /// Sets the time that each further read may take.
    pub(super) fn wait_at_most(&self, limit: Duration) -> Result<(), ClientError> {
        Ok(self.stream.get_ref().limit(limit)?)
    }

    /// Reads the rest of the body.
    pub(super) fn rest(&mut self) -> Result<String, ClientError> {
        self.body(BODY)
    }

    fn body(&mut self, most: u64) -> Result<String, ClientError> {
        let mut bytes = Vec::new();
        Body(self).take(most).read_to_end(&mut bytes)?;
        text(bytes)
    }

    /// Reads a line of the body; `None` at its end.
    pub(super) fn line(&mut self) -> Result<Option<String>, ClientError> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\n") {
            if bytes.len() as u64 >= BODY {
                return Err(ClientError::NotAService("a line is too long".to_owned()));
            }
            // A byte at a time from the buffer: a line may end within a chunk or span several.
            let mut byte = [0];
            match Body(self).read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => bytes.push(byte[0]),
                // A process that was stopped and continues.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.pop();
        text(bytes).map(Some)
    }
}

fn text(bytes: Vec<u8>) -> Result<String, ClientError> {
    String::from_utf8(bytes).map_err(|_| ClientError::NotAService("it is not UTF-8".to_owned()))
}

/// Reads a line of a head without its end; `None` if it is incomplete.
fn text_line(from: &mut impl BufRead) -> Result<Option<String>, ClientError> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    text(bytes).map(Some)
}

/// The bytes of a body, without its chunks.
struct Body<'a>(&'a mut Answer);

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Answer { stream, left } = &mut *self.0;
        if *left == Left::Chunk(0) {
            match chunk(stream)? {
                0 => *left = Left::Ended,
                length => *left = Left::Chunk(length),
            }
        }
        let most = match left {
            Left::Ended | Left::Bytes(0) => return Ok(0),
            Left::Bytes(length) | Left::Chunk(length) => *length,
            Left::All => u64::MAX,
        };
        let read = stream.take(most).read(buffer)?;
        match left {
            // The connection ended too early. Buffers are never empty here.
            Left::Bytes(_) | Left::Chunk(_) if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Left::Bytes(length) => *length -= read as u64,
            Left::Chunk(length) => {
                *length -= read as u64;
                if *length == 0 {
                    line_end(stream)?;
                }
            }
            Left::All | Left::Ended => {}
        }
        Ok(read)
    }
}

/// Reads the length of the next chunk; 0 for the last.
fn chunk(stream: &mut BufReader<Stream>) -> io::Result<u64> {
    let mut line = Vec::new();
    stream.take(HEAD).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length =
        std::str::from_utf8(&line).ok().and_then(|line| u64::from_str_radix(line.trim_end(), 16).ok());
    length.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn line_end(stream: &mut BufReader<Stream>) -> io::Result<()> {
    let mut end = [0; 2];
    stream.read_exact(&mut end)?;
    if end == *b"\r\n" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
