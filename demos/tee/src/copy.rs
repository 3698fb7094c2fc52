//! Publishes what is read until the end, and takes stock.

use crate::books::Books;
use crate::fan_out::FanOut;
use crate::message::{Line, Message};
use crate::options::Options;
use crate::source::Source;
use buslane::Bus;
use demo_support::Failure;
use demo_support::Interrupt;
use std::io::{self, Write};
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
        // No room: then lines are waiting, and whoever takes them looks up.
        let _ = waker.try_send(Message::Wake);
    };
    let end = Interrupt::listen(wake.clone())?;
    let fan_out = FanOut::start(options, source.size, &end, wake)?;
    source.read_on_a_thread(sender)?;
    let told = publish(&fan_out.bus, &messages, &end);
    // From here on Ctrl-C does not ask: somebody may have to wait for a slow output.
    end.ask();
    let books = Books::of(&told, &fan_out.finish());
    if options.books || books.verdict().is_err() {
        // Nobody is left to be told if standard error is gone.
        let _ = write!(io::stderr(), "{books}");
    }
    books.verdict()?;
    match (told.unreadable, books.has_failed_outputs()) {
        (Some(error), _) => Err(Failure::Broken(format!("reading broke off: {error}"))),
        (None, true) => Err(Failure::Broken("not everything was written".to_owned())),
        (None, false) => Ok(()),
    }
}

/// Publishes what the reading thread sends, until the end or until somebody asks for it. Every sink gets the same
/// lines.
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
