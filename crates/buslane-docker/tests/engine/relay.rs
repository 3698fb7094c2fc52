//! A socket between the source and the engine, which a test can close while the engine runs.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use test_support::lock;

/// Forwards connections to an engine. Its threads end with their connections, or with the process.
pub(crate) struct Relay {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    open: Vec<UnixStream>,
}

impl Relay {
    pub(crate) fn start(engine: &Path, name: &str) -> Self {
        let path = engine.with_file_name(format!("{name}.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (engine, shared) = (engine.to_owned(), state.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = lock(&shared);
                if state.is_closed {
                    continue;
                }
                let Ok(server) = UnixStream::connect(&engine) else { continue };
                state.open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                copy(client.try_clone().unwrap(), server.try_clone().unwrap());
                copy(server, client);
            }
        });
        Self { path, state }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends each connection, and accepts none.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Accepts connections again.
    pub(crate) fn open(&self) {
        lock(&self.state).is_closed = false;
    }
}

fn copy(mut from: UnixStream, mut to: UnixStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
