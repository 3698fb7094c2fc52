//! Connections to a Unix socket, for the HTTP client, which has none of its own.

use crate::address::Address;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
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
pub(crate) struct SocketConnector(pub(crate) Arc<Address>);

impl Connector for SocketConnector {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connection>, Error> {
        let Some(path) = self.0.path() else { return Ok(None) };
        let socket = Arc::new(Socket(UnixStream::connect(path)?));
        let handle: Weak<Socket> = Arc::downgrade(&socket);
        (details.register_shutdown)(handle as Weak<dyn ShutdownHandle>)?;
        let config = details.config;
        Ok(Some(Connection {
            socket,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
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
    buffers: LazyBuffers,
    /// The limits that the socket has, so that a call of the system sets only another one.
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
}

#[derive(Debug)]
struct Socket(UnixStream);

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
