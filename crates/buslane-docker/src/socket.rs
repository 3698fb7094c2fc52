//! Connections to a Unix socket, for the HTTP client, which has none of its own.

use crate::address::Address;
use crate::attempt::lock;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, ShutdownHandle, Transport,
};

/// Connects to the socket of an engine. Leaves a host to the next connector.
#[derive(Debug)]
pub(crate) struct SocketConnector {
    pub(crate) address: Arc<Address>,
    pub(crate) takeover: Arc<Takeover>,
}

/// How a connection leaves the HTTP client before the client has read the body of an answer.
///
/// While a takeover is wanted, the connection has no input for the client. So the client waits for more,
/// and the connection gives away its socket, with what was read beyond the head of the answer, in place
/// of waiting.
#[derive(Debug, Default)]
pub(crate) struct Takeover {
    is_wanted: AtomicBool,
    given: Mutex<Option<RawSocket>>,
}

impl Takeover {
    /// Takes the connection that the body comes from.
    pub(crate) fn take(&self, body: &mut impl Read) -> io::Result<RawSocket> {
        // Relaxed: the body is read on this thread.
        self.is_wanted.store(true, Ordering::Relaxed);
        let read = body.read(&mut [0]);
        self.is_wanted.store(false, Ordering::Relaxed);
        match lock(&self.given).take() {
            Some(socket) => {
                // A request before this one may have set a limit.
                socket.socket.0.set_read_timeout(None)?;
                Ok(socket)
            }
            None => Err(read.err().unwrap_or(ErrorKind::InvalidData.into())),
        }
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }
}

/// A socket without a client.
#[derive(Debug)]
pub(crate) struct RawSocket {
    socket: Arc<Socket>,
    /// What was read before, from this position on.
    rest: Vec<u8>,
    at: usize,
}

impl Read for RawSocket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut rest = &self.rest[self.at..];
        if rest.is_empty() {
            return (&self.socket.0).read(room);
        }
        let length = rest.read(room)?;
        self.at += length;
        if self.at == self.rest.len() {
            (self.rest, self.at) = (Vec::new(), 0);
        }
        Ok(length)
    }
}

impl Connector for SocketConnector {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connection>, Error> {
        let Some(path) = self.address.path() else { return Ok(None) };
        let socket = Arc::new(Socket(UnixStream::connect(path)?));
        let handle: Weak<Socket> = Arc::downgrade(&socket);
        (details.register_shutdown)(handle as Weak<dyn ShutdownHandle>)?;
        let config = details.config;
        Ok(Some(Connection {
            socket,
            buffers: SocketBuffers {
                inner: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
                takeover: self.takeover.clone(),
            },
            read_limit: None,
            write_limit: None,
        }))
    }
}

/// A connection to a socket.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Shared with a shutdown from another thread.
    socket: Arc<Socket>,
    buffers: SocketBuffers,
    /// The limits that the socket has, so that a call of the system sets only another one.
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
}

#[derive(Debug)]
struct Socket(UnixStream);

/// The buffers of a connection, which show the client no input while a takeover is wanted.
#[derive(Debug)]
struct SocketBuffers {
    inner: LazyBuffers,
    takeover: Arc<Takeover>,
}

impl Buffers for SocketBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.inner.output()
    }

    fn input(&self) -> &[u8] {
        if self.takeover.is_wanted() { &[] } else { self.inner.input() }
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.inner.input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.inner.input_appended(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.inner.input_consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.inner.tmp_and_output()
    }

    fn can_use_input(&self) -> bool {
        !self.takeover.is_wanted() && self.inner.can_use_input()
    }
}

impl ShutdownHandle for Socket {
    fn shutdown(&self) {
        // An error means that it is closed already.
        let _closed = self.0.shutdown(Shutdown::Both);
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let since = Instant::now();
        let mut sent = 0;
        while sent < amount {
            let limit = left(timeout, since)?;
            if self.write_limit != limit {
                self.socket.0.set_write_timeout(limit)?;
                self.write_limit = limit;
            }
            match (&self.socket.0).write(&self.buffers.output()[sent..amount]) {
                Ok(0) => return Err(Error::Io(ErrorKind::WriteZero.into())),
                Ok(length) => sent += length,
                Err(error) if is_repeatable(error.kind()) => {}
                Err(error) => return Err(Error::Io(error)),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let takeover = &self.buffers.takeover;
        if takeover.is_wanted() {
            let rest = self.buffers.inner.input().to_vec();
            *lock(&takeover.given) = Some(RawSocket { socket: self.socket.clone(), rest, at: 0 });
            return Err(Error::Io(ErrorKind::WouldBlock.into()));
        }
        let timeout = timeout.for_read();
        let since = Instant::now();
        loop {
            let limit = left(timeout, since)?;
            if self.read_limit != limit {
                self.socket.0.set_read_timeout(limit)?;
                self.read_limit = limit;
            }
            match (&self.socket.0).read(self.buffers.input_append_buf()) {
                Ok(length) => {
                    self.buffers.input_appended(length);
                    return Ok(length > 0);
                }
                Err(error) if is_repeatable(error.kind()) => {}
                Err(error) => return Err(Error::Io(error)),
            }
        }
    }

    /// Returns `true` if the connection can be reused: the engine has neither closed it nor sent
    /// unexpected bytes.
    fn is_open(&mut self) -> bool {
        let socket = &self.socket.0;
        if socket.set_nonblocking(true).is_err() {
            return false;
        }
        let read = (&*socket).read(&mut [0]);
        let is_silent = read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        socket.set_nonblocking(false).is_ok() && is_silent
    }
}

/// Returns whether a call has run into its limit, which is checked before the next one, or into a
/// signal.
fn is_repeatable(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Returns the time that is left, or `None` without a limit.
fn left(timeout: NextTimeout, since: Instant) -> Result<Option<Duration>, Error> {
    if timeout.after.is_not_happening() {
        return Ok(None);
    }
    let left = timeout.after.saturating_sub(since.elapsed());
    if left.is_zero() { Err(Error::Timeout(timeout.reason)) } else { Ok(Some(left)) }
}

/// Looks hosts up, and nothing for a socket.
#[derive(Debug)]
pub(crate) struct HostResolver {
    pub(crate) has_host: bool,
    pub(crate) hosts: DefaultResolver,
}

impl Resolver for HostResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        if self.has_host {
            return self.hosts.resolve(uri, config, timeout);
        }
        // The client asks for at least one address, which the connector does not use.
        let mut unused = self.empty();
        unused.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Ok(unused)
    }
}
