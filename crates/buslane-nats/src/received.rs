//! A message of a stream, as a decoder sees it.

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::{HeaderMap, Message};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A message that a [`JetStreamSource`](crate::JetStreamSource) received, for its decoder.
///
/// # Examples
/// ```
/// use buslane_nats::JetStreamSource;
/// // An event with its sequence in the stream:
/// let builder = JetStreamSource::builder("nats://localhost", "TELEMETRY", "aggregator")
///     .decode(|message| Ok((message.sequence(), String::from_utf8(message.payload().to_vec())?)));
/// # drop(builder);
/// ```
#[derive(Clone, Copy)]
pub struct Received<'a> {
    message: &'a Message,
    delivery: Delivery,
}

/// What the reply subject of a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// How often the server has delivered the message, this time included.
    pub(crate) deliveries: u64,
    /// The sequence in the stream.
    pub(crate) sequence: u64,
    /// When the stream stored it, in nanoseconds since 1970.
    pub(crate) stored: u64,
}

impl Delivery {
    /// Reads the reply subject of a message: `$JS.ACK.`, on newer servers a domain and an account,
    /// then stream, consumer, deliveries, sequence in the stream, sequence of the consumer, time, and
    /// what is pending.
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let mut tokens = reply.strip_prefix("$JS.ACK.")?.split('.');
        let before = match tokens.clone().count() {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let mut number = |skip| tokens.nth(skip)?.parse().ok();
        Some(Self { deliveries: number(before)?, sequence: number(0)?, stored: number(1)? })
    }
}

impl<'a> Received<'a> {
    pub(crate) fn new(message: &'a Message, delivery: Delivery) -> Self {
        Self { message, delivery }
    }

    /// Returns the subject.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        self.message.subject.as_str()
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.message.payload
    }

    /// Returns the headers, if the message has any.
    #[must_use]
    pub fn headers(&self) -> Option<&'a HeaderMap> {
        self.message.headers.as_ref()
    }

    /// Returns the message id, which a publisher sets so that the server stores the message once.
    #[must_use]
    pub fn message_id(&self) -> Option<&'a str> {
        self.headers()?.get(NATS_MESSAGE_ID).map(|value| value.as_str())
    }

    /// Returns the sequence in the stream.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.delivery.sequence
    }

    /// Returns when the stream stored the message, by the server's clock.
    #[must_use]
    pub fn stored(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.delivery.stored)
    }

    /// Returns how often the server has delivered the message: more than once if an earlier delivery
    /// was not acknowledged, also one to an earlier process.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.delivery.deliveries
    }
}

/// Omits the payload.
impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("subject", &self.subject())
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Delivery;

    #[test]
    fn reply_subject_of_both_forms_is_read() {
        let expected = Delivery { deliveries: 2, sequence: 1007, stored: 1_764_547_200_000_000_001 };
        for reply in [
            "$JS.ACK.S.c.2.1007.9.1764547200000000001.41",
            "$JS.ACK.hub.Xa5.S.c.2.1007.9.1764547200000000001.41",
            "$JS.ACK._.Xa5.S.c.2.1007.9.1764547200000000001.41.token",
        ] {
            assert_eq!(Delivery::parse(reply), Some(expected), "{reply}");
        }
    }

    #[test]
    fn other_reply_subject_is_none() {
        for reply in [
            "",
            "_INBOX.1",
            "$JS.ACK.",
            "$JS.ACK.S.c.2.1007.9.1764547200000000001",
            "$JS.ACK.S.c.x.1007.9.1764547200000000001.41",
            "$JS.ACK.S.c.2.-1.9.1764547200000000001.41",
            "$JS.ACK.S.c.2.99999999999999999999999.9.1764547200000000001.41",
        ] {
            assert_eq!(Delivery::parse(reply), None, "{reply}");
        }
    }
}
