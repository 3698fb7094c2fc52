//! A connection to a service.

use super::target::Target;
use crate::error::ClientError;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The time that a connection and each read and write may take.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    pub(super) fn connect(target: &Target) -> Result<Self, ClientError> {
        let connected = match target {
            Target::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Target::Tcp(address) => TcpStream::connect_timeout(address, LIMIT).map(Self::Tcp),
        };
        let stream = connected.map_err(|error| explained(error, &target.to_string()))?;
        stream.limit(LIMIT)?;
        Ok(stream)
    }

    /// Sets the time that each read and write may take.
    pub(super) fn limit(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(limit)).and_then(|()| stream.set_write_timeout(Some(limit)))
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(limit)).and_then(|()| stream.set_write_timeout(Some(limit)))
            }
        }
    }
}

/// Returns what the error of a connect means.
pub(super) fn explained(error: io::Error, target: &str) -> ClientError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NoService(target.to_owned())
        }
        io::ErrorKind::PermissionDenied => ClientError::Denied(target.to_owned()),
        _ => ClientError::Io(error),
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
