//! Listeners and streams, of Unix sockets and of TCP.

use super::path::SocketPath;
use crate::at::At;
use crate::error::ServeError;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};

pub(super) enum Listener {
    Unix(UnixListener, SocketPath),
    Tcp(TcpListener),
}

impl Listener {
    pub(super) fn bind(at: &At) -> Result<Self, ServeError> {
        match at {
            At::Unix(path) => {
                let (listener, path) = SocketPath::take(path)?;
                Ok(Self::Unix(UnixListener::from_std(listener), path))
            }
            At::Loopback(port) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                TcpListener::bind(address).map(Self::Tcp).map_err(|error| match error.kind() {
                    io::ErrorKind::AddrInUse => ServeError::Taken(at.clone()),
                    _ => ServeError::Io { at: at.clone(), source: error },
                })
            }
        }
    }

    /// Returns the address, with the port that the listener got.
    pub(super) fn at(&self) -> io::Result<At> {
        Ok(match self {
            Self::Unix(_, path) => At::Unix(path.path().to_owned()),
            Self::Tcp(listener) => At::Loopback(listener.local_addr()?.port()),
        })
    }

    pub(super) fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // A line of a stream is to leave at once. Without it the line only comes later.
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream))
            }
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Unix(listener, _) => registry.register(listener, token, Interest::READABLE),
            Self::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
        }
    }
}

pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    /// Returns whether every user of the machine can connect.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    pub(super) fn shut_writes(&self) {
        // The connection may have ended already.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Unix(stream) => stream,
            Self::Tcp(stream) => stream,
        }
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
