//! How an event becomes a message, once: its id, subject, headers and payload stay the same in
//! every attempt.

use crate::error::PublishError;
use crate::id::MessageIds;
use crate::subject;
use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::{HeaderMap, HeaderValue, Subject};
use buslane::BoxError;
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) type Text<E> = Box<dyn Fn(&E) -> String + Send + Sync>;
pub(crate) type Encode<E> = Box<dyn Fn(&E, &mut Vec<u8>) -> Result<(), BoxError> + Send + Sync>;
pub(crate) type Headers<E> = Box<dyn Fn(&E, &mut HeaderMap) + Send + Sync>;

/// The user's functions that read an event.
pub(crate) struct Functions<E> {
    pub(crate) subject: Text<E>,
    pub(crate) encode: Encode<E>,
    pub(crate) headers: Option<Headers<E>>,
    pub(crate) message_id: Option<Text<E>>,
    /// The stream that must store the messages.
    pub(crate) stream: Option<HeaderValue>,
}

/// An event with its message.
pub(crate) struct Prepared<E> {
    /// The event, until it is in a dead letter.
    pub(crate) event: Option<E>,
    pub(crate) message: Message,
    /// Why the event is given up.
    pub(crate) refused: Option<PublishError>,
    /// Whether it was counted as rejected.
    pub(crate) is_buried: bool,
    /// Whether it was sent before.
    pub(crate) is_sent: bool,
}

/// What is sent for an event.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) subject: Subject,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl<E> Prepared<E> {
    /// Returns the memory that the message occupies, approximately.
    pub(crate) fn size(&self) -> usize {
        // Headers, subject and id are short.
        self.message.payload.len().saturating_add(256)
    }
}

impl<E> Functions<E> {
    /// Makes the message of an event. An event without a valid one is given up.
    pub(crate) fn prepare(&self, event: E, ids: &MessageIds) -> Prepared<E> {
        // The event is only read, and a message that was begun is discarded.
        let made = catch_unwind(AssertUnwindSafe(|| self.message(&event, ids)));
        let (message, refused) = match made.unwrap_or(Err(PublishError::Panicked)) {
            Ok(message) => (message, None),
            Err(error) => (Message::empty(), Some(error)),
        };
        Prepared { event: Some(event), message, refused, is_buried: false, is_sent: false }
    }

    fn message(&self, event: &E, ids: &MessageIds) -> Result<Message, PublishError> {
        let subject = (self.subject)(event);
        subject::check(&subject).map_err(PublishError::Subject)?;
        let id = self.message_id.as_ref().map_or_else(|| ids.next(), |id| id(event));
        let header = match id.len() {
            1..=255 => id.parse::<HeaderValue>().map_err(|_| PublishError::MessageId)?,
            _ => return Err(PublishError::MessageId),
        };
        let mut payload = Vec::new();
        (self.encode)(event, &mut payload).map_err(|_| PublishError::Unencodable)?;
        let mut headers = HeaderMap::new();
        if let Some(add) = &self.headers {
            add(event, &mut headers);
        }
        headers.insert(NATS_MESSAGE_ID, header);
        if let Some(stream) = &self.stream {
            headers.insert(NATS_EXPECTED_STREAM, stream.clone());
        }
        Ok(Message { id, subject: subject.into(), headers, payload: payload.into() })
    }
}

impl Message {
    /// The message of an event that has none.
    fn empty() -> Self {
        Self {
            id: String::new(),
            subject: String::new().into(),
            headers: HeaderMap::new(),
            payload: Bytes::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Functions;
    use crate::error::PublishError;
    use crate::id::MessageIds;
    use crate::subject::SubjectError;
    use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};

    fn functions() -> Functions<&'static str> {
        Functions {
            subject: Box::new(|event| format!("telemetry.{event}")),
            encode: Box::new(|event, payload| {
                assert!(*event != "panics", "on purpose");
                if *event == "fails" {
                    return Err("secret".into());
                }
                payload.extend_from_slice(event.as_bytes());
                Ok(())
            }),
            headers: Some(Box::new(|event, headers| {
                headers.insert("Kind", *event);
                headers.insert(NATS_MESSAGE_ID, "theirs");
            })),
            message_id: None,
            stream: Some("S".parse().unwrap()),
        }
    }

    #[test]
    fn message_has_id_subject_headers_and_payload() {
        let ids = MessageIds::new();
        let prepared = functions().prepare("cpu", &ids);
        assert!(prepared.refused.is_none() && prepared.event == Some("cpu"));
        let message = prepared.message;
        assert_eq!((message.subject.as_str(), &message.payload[..]), ("telemetry.cpu", &b"cpu"[..]));
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(header("Kind").as_deref(), Some("cpu"));
        // The id of the sink replaces one that a function has set.
        assert_eq!(header(NATS_MESSAGE_ID.as_ref()), Some(message.id.clone()));
        assert_eq!(header(NATS_EXPECTED_STREAM.as_ref()).as_deref(), Some("S"));
    }

    #[test]
    fn invalid_event_is_given_up_with_its_reason() {
        let (functions, ids) = (functions(), MessageIds::new());
        for (event, error) in [
            ("a b", PublishError::Subject(SubjectError::Space)),
            ("", PublishError::Subject(SubjectError::Empty)),
            (">", PublishError::Subject(SubjectError::Wildcard)),
            ("fails", PublishError::Unencodable),
            ("panics", PublishError::Panicked),
        ] {
            let prepared = functions.prepare(event, &ids);
            assert_eq!((prepared.refused, prepared.event), (Some(error), Some(event)));
        }
    }

    #[test]
    fn own_message_id_is_checked() {
        let ids = MessageIds::new();
        let mut functions = functions();
        functions.message_id = Some(Box::new(|event| format!("order-{event}")));
        assert_eq!(functions.prepare("7", &ids).message.id, "order-7");
        for bad in ["", "a\nb", &"x".repeat(256)] {
            let bad = bad.to_owned();
            functions.message_id = Some(Box::new(move |_| bad.clone()));
            assert_eq!(functions.prepare("7", &ids).refused, Some(PublishError::MessageId));
        }
    }
}
