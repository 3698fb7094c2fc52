//! The messages to the loop of the screen: keys, signals and frames.

use crate::failure::Failure;
use crate::signals;
use crate::source::Update;
use ratatui::crossterm::event::{self, Event};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// The number of messages that wait. A source waits for room: while a terminal takes no output, the
/// service notices a reader that lags, and not this program a queue without end.
const CAPACITY: usize = 64;
/// The longest time without a message, after which the screen is drawn again: it shows a time.
const TICK: Duration = Duration::from_secs(1);

/// A message to the loop of the screen.
#[derive(Debug)]
pub(crate) enum Message {
    /// A key, or the size of the terminal.
    Input(Event),
    /// The terminal gives no further input, for this reason.
    NoInput(String),
    /// A signal asks the program to end.
    Signal(i32),
    /// The source reports something.
    Update(Update),
}

/// The messages to the loop of the screen.
pub(crate) struct Messages {
    sender: SyncSender<Message>,
    receiver: Receiver<Message>,
}

impl Messages {
    /// Begins to listen for keys and signals.
    ///
    /// # Errors
    /// When a thread or a handler cannot be installed.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let messages = Self { sender, receiver };
        let keys = messages.sender.clone();
        messages.spawn("keys", move || read_keys(&keys))?;
        let signals = messages.sender.clone();
        // Without room the loop is stuck, and the next signal ends the program.
        signals::watch(move |signal| drop(signals.try_send(Message::Signal(signal))))
            .map_err(|error| Failure::new(format_args!("cannot listen for signals: {error}")))?;
        Ok(messages)
    }

    /// Runs a source on a thread of its own. It gets a function that returns `false` once the loop
    /// has ended.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn run<S>(&self, source: S) -> Result<(), Failure>
    where
        S: FnOnce(&mut dyn FnMut(Update) -> bool) + Send + 'static,
    {
        let sender = self.sender.clone();
        self.spawn("frames", move || source(&mut |update| sender.send(Message::Update(update)).is_ok()))
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
        spawned.map(drop).map_err(|error| Failure::new(format_args!("cannot start a thread: {error}")))
    }

    /// Waits for the next message. `None` says that it is time to draw again.
    pub(crate) fn next(&self) -> Option<Message> {
        self.receiver.recv_timeout(TICK).ok()
    }

    /// Returns a message that waits already.
    pub(crate) fn waiting(&self) -> Option<Message> {
        self.receiver.try_recv().ok()
    }
}

fn read_keys(sender: &SyncSender<Message>) {
    loop {
        let (message, has_ended) = match event::read() {
            Ok(event) => (Message::Input(event), false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => (Message::NoInput(format!("the terminal gives no input: {error}")), true),
        };
        if sender.send(message).is_err() || has_ended {
            return;
        }
    }
}
