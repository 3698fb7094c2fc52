//! Publishes what is read until the end, and reports.

use crate::fan_out::FanOut;
use crate::message::{Line, Message};
use crate::options::Options;
use crate::report::Outcome;
use crate::source::Source;
use buslane::Bus;
use demo_support::Failure;
use demo_support::Interrupt;
use std::io;
use std::sync::mpsc::{self, Receiver};

/// How many batches of lines the reading thread may be ahead.
const BATCHES_AHEAD: usize = 4;

/// What was published.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Lines.
    pub(crate) lines: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
    /// Copies that a sink did not accept.
    pub(crate) refused: u64,
    /// Why reading ended before the end.
    pub(crate) unreadable: Option<io::Error>,
}

/// Copies the input to every output.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let source = Source::open(options.input.as_deref())?;
    let (sender, messages) = mpsc::sync_channel(BATCHES_AHEAD);
    let waker = sender.clone();
    let wake = move || {
        // Without room, lines are waiting, and the publisher checks the request with the next ones.
        let _ = waker.try_send(Message::Wake);
    };
    let end = Interrupt::listen(wake.clone())?;
    let fan_out = FanOut::start(options, source.size, &end, wake)?;
    source.read_on_a_thread(sender)?;
    let told = publish(&fan_out.bus, &messages, &end);
    // From now on one Ctrl-C ends the process, since the close may wait for a slow output.
    end.ask();
    let finished = fan_out.finish();
    let outcome = Outcome::new(&told, &finished);
    if options.report || options.json || !outcome.is_balanced() {
        outcome.print(options.json);
    }
    outcome.verdict()
}

/// Publishes what the reading thread sends, until the end or until it is requested. Every sink
/// receives the same lines.
fn publish(bus: &Bus<Line>, messages: &Receiver<Message>, end: &Interrupt) -> Told {
    let (mut told, mut publisher) = (Told::default(), bus.publisher());
    while !end.is_asked() {
        match messages.recv() {
            Ok(Message::Lines(lines)) => {
                for line in lines {
                    told.lines += 1;
                    told.bytes += line.len() as u64;
                    told.refused +=
                        publisher.publish(line).map_or(1, |published| u64::from(published.refused));
                }
            }
            Ok(Message::Wake) => {}
            Ok(Message::Unreadable(error)) => {
                told.unreadable = Some(error);
                break;
            }
            Ok(Message::End) | Err(_) => break,
        }
    }
    told
}
