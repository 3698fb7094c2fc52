//! The body of one client that follows the events.

use super::chunks::LAST_CHUNK;
use super::http::write;
use super::state::{Core, End};
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

/// The head of an answer in chunks, and when it is written.
pub(super) struct StreamHead {
    pub(super) bytes: Vec<u8>,
    /// Whether it is written together with the first event, as podman does.
    pub(super) is_late: bool,
}

/// Writes events until the body or the client ends. The connection ends with it.
pub(super) fn follow(
    core: &Core,
    number: u64,
    socket: &UnixStream,
    mut reader: impl Read + Send,
    head: StreamHead,
) {
    thread::scope(|scope| {
        // A client that leaves is noticed at once, not only at the next event.
        scope.spawn(move || {
            let _ = io::copy(&mut reader, &mut io::sink());
            core.gone(number);
        });
        write_batches(core, number, socket, head);
        let _ = socket.shutdown(Shutdown::Both);
    });
}

fn write_batches(core: &Core, number: u64, socket: &UnixStream, head: StreamHead) {
    let mut late = head.bytes;
    if !head.is_late && !write(socket, &std::mem::take(&mut late)) {
        return;
    }
    while let Some(batch) = core.next_batch(number) {
        let last = if batch.end == Some(End::Proper) { LAST_CHUNK } else { &[] };
        let bytes = [std::mem::take(&mut late).as_slice(), &batch.bytes, last].concat();
        let is_there = write(socket, &bytes);
        core.written(number);
        if !is_there || batch.end.is_some() {
            return;
        }
    }
}
