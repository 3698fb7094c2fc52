//! The stream of a Docker Engine: values, what is between them, and where reads divide them. Every
//! division gives the same events, an event survives a round through JSON, and the input is also
//! tried as a token and as a version.
#![no_main]

use buslane_docker::{ApiVersion, DockerEvent, DockerToken, EventReader, Filter, Kind};
use libfuzzer_sys::fuzz_target;
use std::io::{self, ErrorKind, Read};

/// Reads a limited number of bytes at once.
struct Pieces<'a> {
    rest: &'a [u8],
    most: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = self.most.min(into.len());
        self.rest.read(&mut into[..most])
    }
}

/// What became of each value: an event, or the text of the error. An error that ends the stream is
/// the same whether it was found when the bytes came or when no others did.
fn read(bytes: &[u8], most: usize) -> Vec<Result<DockerEvent, String>> {
    let events = EventReader::new(Pieces { rest: bytes, most });
    let ends = |text: &str| text.ends_with("is no JSON") || text.contains("sent a text in place of an event");
    let text = |error: io::Error| match error.to_string() {
        // A text is shown as far as it has come.
        text if error.kind() == ErrorKind::UnexpectedEof || ends(&text) => "the end".into(),
        text => text,
    };
    events.map(|event| event.map_err(text)).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else { return };
    let whole = read(bytes, usize::MAX);
    assert_eq!(whole, read(bytes, usize::from(*first).max(1)));
    assert!(whole.len() <= bytes.len() + 1);
    for event in whole.into_iter().flatten() {
        let json = serde_json::to_string(&event).expect("an event is JSON");
        let again: DockerEvent = serde_json::from_str(&json).expect("an event of an event");
        // The nanoseconds are lost where the engine sent seconds only.
        assert_eq!(again, event);
        let filter = Filter::new().kind(event.kind()).action(event.action());
        assert!(filter.matches(&event) || event.action_data().is_some());
        assert!(
            !Filter::new().kind(Kind::Other("\0")).kind(Kind::Other("\u{1}")).matches(&event)
                || event.kind().as_str() <= "\u{1}"
        );
        assert!(event.attributes().all(|(key, _)| event.attribute(key).is_some()));
        let _texts = (event.to_string(), format!("{event:?}"), event.time(), event.exit_code());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(token) = text.parse::<DockerToken>() {
            assert_eq!(token.to_string().parse(), Ok(token));
        }
        if let Ok(version) = text.parse::<ApiVersion>() {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
    }
});
