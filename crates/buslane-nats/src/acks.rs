//! The messages that are in flight, and the answers to them.
//!
//! Messages of one attempt are a *flight*, which has a number. The reply subject of a message names
//! the flight and the index of the message, so an answer finds its message without a table that a
//! lost answer would leave an entry in. Answers to an earlier flight are ignored: what they
//! acknowledge is sent again under the same id, and then acknowledged as a duplicate.

use crate::answer::Answer;
use crate::connect::lock;
use crate::error::PublishError;
use buslane::time::Pause;
use std::sync::{Arc, Mutex};

/// What is known of one message of a flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was not sent.
    Unsent,
    /// It was sent, and there is no answer.
    Sent,
    Stored {
        duplicate: bool,
    },
    Failed(PublishError),
}

#[derive(Debug)]
pub(crate) struct Acks {
    flight: Mutex<Flight>,
    pause: Arc<Pause>,
}

#[derive(Debug, Default)]
struct Flight {
    number: u64,
    outcomes: Vec<Outcome>,
    /// The number of messages that are sent and not answered.
    open: usize,
    /// The number of answers.
    answered: usize,
    /// Whether a message was not stored.
    is_broken: bool,
    /// The number of open messages at which the waiting thread is woken.
    wake_at: usize,
}

/// What the waiting thread looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) open: usize,
    pub(crate) answered: usize,
    pub(crate) is_broken: bool,
}

impl Acks {
    pub(crate) fn new(pause: Arc<Pause>) -> Self {
        Self { flight: Mutex::default(), pause }
    }

    /// Begins a flight of `count` messages, and returns its number.
    pub(crate) fn begin(&self, count: usize) -> u64 {
        let mut flight = lock(&self.flight);
        let number = flight.number + 1;
        *flight = Flight { number, outcomes: vec![Outcome::Unsent; count], ..Flight::default() };
        number
    }

    /// Ends the flight, and returns what became of its messages.
    pub(crate) fn end(&self) -> Vec<Outcome> {
        let mut flight = lock(&self.flight);
        let number = flight.number + 1;
        std::mem::replace(&mut *flight, Flight { number, ..Flight::default() }).outcomes
    }

    /// Marks a message as sent. This comes before the send, so that no answer comes earlier.
    pub(crate) fn sent(&self, index: usize) {
        let mut flight = lock(&self.flight);
        if flight.outcomes.get(index) == Some(&Outcome::Unsent) {
            flight.outcomes[index] = Outcome::Sent;
            flight.open += 1;
        }
    }

    /// Returns the progress, and asks for a wake when at most `wake_at` messages are open.
    pub(crate) fn progress(&self, wake_at: usize) -> Progress {
        let mut flight = lock(&self.flight);
        flight.wake_at = wake_at;
        Progress { open: flight.open, answered: flight.answered, is_broken: flight.is_broken }
    }

    /// Records the answer to a message.
    pub(crate) fn answer(&self, number: u64, index: usize, answer: Answer) {
        let mut flight = lock(&self.flight);
        if flight.number != number || flight.outcomes.get(index) != Some(&Outcome::Sent) {
            return;
        }
        let outcome = match answer {
            Answer::Stored { duplicate } => Outcome::Stored { duplicate },
            Answer::Failed(error) => Outcome::Failed(error),
        };
        let breaks = matches!(outcome, Outcome::Failed(_)) && !flight.is_broken;
        flight.is_broken |= breaks;
        flight.outcomes[index] = outcome;
        flight.open -= 1;
        flight.answered += 1;
        let wakes = flight.open <= flight.wake_at || breaks;
        drop(flight);
        if wakes {
            self.pause.poke();
        }
    }
}

/// Returns the end of a reply subject.
pub(crate) fn reply_token(flight: u64, index: usize) -> String {
    format!("{flight}.{index}")
}

/// Reads the end of a reply subject.
pub(crate) fn parse_reply(subject: &str) -> Option<(u64, usize)> {
    let (rest, index) = subject.rsplit_once('.')?;
    let (_, flight) = rest.rsplit_once('.')?;
    Some((flight.parse().ok()?, index.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Acks, Outcome, parse_reply, reply_token};
    use crate::answer::Answer;
    use crate::error::PublishError;
    use buslane::time::Pause;
    use std::sync::Arc;

    #[test]
    fn reply_subject_names_flight_and_index() {
        let subject = format!("_INBOX.abc.{}", reply_token(7, 4095));
        assert_eq!(parse_reply(&subject), Some((7, 4095)));
        for malformed in ["", "a", "a.b", "_INBOX.a.1.", "_INBOX.a.x.1", "_INBOX.1.-1"] {
            assert_eq!(parse_reply(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn only_the_first_answer_to_a_sent_message_counts() {
        let acks = Acks::new(Arc::new(Pause::new()));
        let flight = acks.begin(3);
        acks.sent(0);
        acks.sent(0);
        acks.sent(1);
        assert_eq!(acks.progress(0).open, 2);
        acks.answer(flight, 0, Answer::Stored { duplicate: true });
        acks.answer(flight, 0, Answer::Failed(PublishError::NoStream));
        acks.answer(flight, 2, Answer::Stored { duplicate: false }); // not sent
        acks.answer(flight, 9, Answer::Stored { duplicate: false });
        acks.answer(flight + 1, 1, Answer::Stored { duplicate: false });
        let progress = acks.progress(0);
        assert_eq!((progress.open, progress.answered, progress.is_broken), (1, 1, false));
        acks.answer(flight, 1, Answer::Failed(PublishError::NoStream));
        assert!(acks.progress(0).is_broken);
        let expected =
            [Outcome::Stored { duplicate: true }, Outcome::Failed(PublishError::NoStream), Outcome::Unsent];
        assert_eq!(acks.end(), expected);
    }

    #[test]
    fn answer_to_an_earlier_flight_is_ignored() {
        let acks = Acks::new(Arc::new(Pause::new()));
        let first = acks.begin(1);
        acks.sent(0);
        assert_eq!(acks.end(), [Outcome::Sent]);
        let second = acks.begin(1);
        acks.sent(0);
        acks.answer(first, 0, Answer::Stored { duplicate: false });
        assert_eq!(acks.progress(0).open, 1);
        acks.answer(second, 0, Answer::Stored { duplicate: false });
        assert_eq!(acks.end(), [Outcome::Stored { duplicate: false }]);
    }
}
