//! The body of the answer that has the events.
//!
//! The HTTP client parses the chunks of a body one at a time, which took a fifth of the time of the thread
//! that reads. So a body on a socket of this crate is taken over from the client, and its chunks are removed
//! here. Any other body is read through the client.

#[cfg(unix)]
use crate::chunks::Chunks;
use crate::frame::Decoder;
use crate::pace::Pace;
#[cfg(unix)]
use crate::socket::RawSocket;
use std::io::{self, ErrorKind, Read};
use ureq::BodyReader;

/// The body of the answer that has the events.
pub(crate) enum EventBody {
    /// Read through the client.
    Client(BodyReader<'static>),
    #[cfg(unix)]
    Socket(Box<SocketBody>),
}

/// A chunked body that was taken over from the client.
#[cfg(unix)]
pub(crate) struct SocketBody {
    socket: RawSocket,
    chunks: Chunks,
    /// It ends the connection when it is dropped.
    _body: BodyReader<'static>,
}

impl EventBody {
    /// Waits for bytes, and reads all that are there. Returns whether the body has ended.
    pub(crate) fn fill(&mut self, pace: &Pace, decoder: &mut Decoder) -> io::Result<bool> {
        match self {
            Self::Client(reader) => fill(pace, reader, decoder),
            #[cfg(unix)]
            Self::Socket(body) => body.fill(decoder),
        }
    }
}

#[cfg(unix)]
impl SocketBody {
    pub(crate) fn new(socket: RawSocket, body: BodyReader<'static>) -> Self {
        Self { socket, chunks: Chunks::new(), _body: body }
    }

    fn fill(&mut self, decoder: &mut Decoder) -> io::Result<bool> {
        loop {
            let room = decoder.room();
            let length = match self.socket.read(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let kept = self.chunks.strip(&mut room[..length])?;
            decoder.filled(kept);
            if kept > 0 || self.chunks.is_over() {
                return Ok(self.chunks.is_over());
            }
        }
    }
}

/// Waits for bytes of the client, and reads all that it has.
fn fill(pace: &Pace, reader: &mut BodyReader<'static>, decoder: &mut Decoder) -> io::Result<bool> {
    pace.refuse_waits(false);
    loop {
        match reader.read(decoder.room()) {
            Ok(0) => return Ok(true),
            Ok(bytes) => {
                decoder.filled(bytes);
                if !decoder.has_room() {
                    return Ok(false);
                }
                pace.refuse_waits(true);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
