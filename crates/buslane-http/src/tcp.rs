//! The connection to the endpoint or its proxy, which checks for an early answer while it sends.
//!
//! An endpoint may answer before it has the whole body, and then close the connection or stop
//! reading. To the sender that looks like a broken or a stalled connection, but the answer counts.
//! So a failure to send is reported only after the connection has been read for an answer, and a
//! send that stalls checks for an answer.

use crate::answer;
use crate::budget::Budget;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::Duration;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, ShutdownHandle, Transport, time,
};

/// The time for which a send may stall before it checks for an answer.
const PATIENCE: Duration = Duration::from_millis(20);
/// The number of bytes after which a send that does not stall checks for an answer.
const STRETCH: usize = 256 * 1024;
/// The most time that a send leaves for the answer. It leaves an eighth of its time if that is
/// less.
const RESERVE: Duration = Duration::from_millis(100);
/// The least time for each address but the last.
const LEAST_PER_ADDRESS: Duration = Duration::from_millis(10);

/// Makes TCP connections, unless an earlier connector in the chain has made one.
#[derive(Debug)]
pub(crate) struct Tcp;

impl<In: Transport> Connector<In> for Tcp {
    type Out = Either<In, Connection>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(transport) = chained {
            return Ok(Some(Either::A(transport)));
        }
        let stream = connect(details)?;
        stream.set_nodelay(true)?;
        let config = details.config;
        let connection = Connection {
            stream: Arc::new(stream),
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            unsent: None,
            since_answer: 0,
        };
        let handle: Weak<TcpStream> = Arc::downgrade(&connection.stream);
        (details.register_shutdown)(handle as Weak<dyn ShutdownHandle>)?;
        Ok(Some(Either::B(connection)))
    }
}

/// Tries the addresses in turn. Each gets half of the remaining time, and the last one all of it.
fn connect(details: &ConnectionDetails<'_>) -> Result<TcpStream, Error> {
    let budget = Budget::new(details.timeout);
    let mut failed = Error::Io(io::ErrorKind::ConnectionRefused.into());
    let mut untried = details.addrs.len();
    for address in &details.addrs {
        untried -= 1;
        let connected = match budget.left()? {
            Some(left) if untried > 0 => {
                TcpStream::connect_timeout(address, (left / 2).max(LEAST_PER_ADDRESS))
            }
            Some(left) => TcpStream::connect_timeout(address, left),
            None => TcpStream::connect(address),
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) if is_timeout(&error) => failed = budget.over(),
            Err(error) => failed = Error::Io(error),
        }
    }
    Err(failed)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A TCP connection, below TLS.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Shared with a shutdown from another thread.
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    /// The reason why the rest of a request is not sent. After that the connection only reads, and
    /// is not reused.
    unsent: Option<Unsent>,
    /// The bytes sent since the connection was last checked for an answer.
    since_answer: usize,
}

#[derive(Clone, Copy, Debug)]
enum Unsent {
    /// The endpoint refused the request before it had all of it.
    Refused,
    Failed(io::ErrorKind),
    Late(ureq::Timeout),
}

impl Connection {
    /// Sends the output, or returns the reason why not all of it can be sent.
    fn send(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Unsent> {
        let budget = Budget::new(keep_reserve(timeout));
        let mut sent = 0;
        while sent < amount {
            if self.since_answer > STRETCH {
                self.check_for_refusal()?;
            }
            let Ok(left) = budget.left() else { return Err(Unsent::Late(timeout.reason)) };
            let limit = left.map_or(PATIENCE, |left| left.min(PATIENCE));
            let failed = |error: io::Error| Unsent::Failed(error.kind());
            self.stream.set_write_timeout(Some(limit)).map_err(failed)?;
            match (&*self.stream).write(&self.buffers.output()[sent..amount]) {
                Ok(0) => return Err(Unsent::Failed(io::ErrorKind::WriteZero)),
                Ok(length) => {
                    sent += length;
                    self.since_answer += length;
                }
                Err(error) if is_timeout(&error) => self.check_for_refusal()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Returns an error if the endpoint has already refused the request. An encrypted refusal is
    /// not visible here: over TLS, only a failure or the end of its time ends the send.
    fn check_for_refusal(&mut self) -> Result<(), Unsent> {
        let mut begun = [0; 1024];
        self.since_answer = 0;
        let peeked = self.stream.set_nonblocking(true).and_then(|()| self.stream.peek(&mut begun));
        self.stream.set_nonblocking(false).map_err(|error| Unsent::Failed(error.kind()))?;
        match peeked {
            Ok(length) if answer::refuses(&begun[..length]) => Err(Unsent::Refused),
            _ => Ok(()),
        }
    }

    /// Returns the error of a request that was not sent and got no answer.
    fn unsent(&self) -> Option<Error> {
        match self.unsent? {
            Unsent::Refused => None,
            Unsent::Failed(kind) => Some(Error::Io(kind.into())),
            Unsent::Late(reason) => Some(Error::Timeout(reason)),
        }
    }
}

/// Shortens the time of a send, so that some is left for the answer.
fn keep_reserve(timeout: NextTimeout) -> NextTimeout {
    let time::Duration::Exact(after) = timeout.after else { return timeout };
    NextTimeout { after: time::Duration::Exact(after - (after / 8).min(RESERVE)), ..timeout }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    /// Never fails: if there is no answer, the next read returns the error of the send.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.unsent.is_none() {
            self.unsent = self.send(amount, timeout).err();
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.since_answer = 0;
        let budget = Budget::new(timeout.for_read());
        loop {
            let left = budget.left()?;
            self.stream.set_read_timeout(left)?;
            match (&*self.stream).read(self.buffers.input_append_buf()) {
                Ok(0) => return self.unsent().map_or(Ok(false), Err),
                Ok(length) => {
                    self.buffers.input_appended(length);
                    return Ok(true);
                }
                Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unsent().unwrap_or(Error::Io(error))),
            }
        }
    }

    /// Returns `true` if the connection can be reused: every request was sent whole, and the
    /// endpoint has sent no unexpected bytes.
    fn is_open(&mut self) -> bool {
        if self.unsent.is_some() || self.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let peeked = self.stream.peek(&mut [0]);
        let is_silent = peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).is_ok() && is_silent
    }
}
