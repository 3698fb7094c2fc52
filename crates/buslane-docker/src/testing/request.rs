//! The requests of clients, and answers that a test puts in place of the engine's own.

use std::collections::BTreeMap;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/_ping`: whether the engine is there, and which versions of the API it has.
    Ping,
    /// `/info`: the id of the engine, and the time of its clock.
    Info,
    /// `/events`: the history, and what happens from now on.
    Events,
    /// Every other path, which the scripted engine does not know.
    Other,
}

/// An answer in place of the engine's own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// A status, with a message as an engine writes it.
    Status(u16, String),
    /// These bytes, which need not be HTTP, and then the end of the connection.
    Bytes(Vec<u8>),
    /// Nothing: the connection stays open until the client or the engine ends it.
    Silence,
    /// The end of the connection.
    End,
}

/// A request that a [`ScriptedEngine`](crate::testing::ScriptedEngine) got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedRequest {
    method: String,
    target: String,
    path: String,
    version: Option<(u16, u16)>,
    parameters: BTreeMap<String, String>,
}

impl ScriptedRequest {
    /// Reads the first line of a request.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (version, path) = split_version(path);
        let parameters = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            path: path.to_owned(),
            version,
            parameters: parameters.collect(),
        })
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path and the parameters, as they were sent.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns what it asks for.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        match self.path.as_str() {
            "/_ping" => Endpoint::Ping,
            "/info" => Endpoint::Info,
            "/events" => Endpoint::Events,
            _ => Endpoint::Other,
        }
    }

    /// Returns the version of the API in the path, such as `(1, 45)` of `/v1.45/events`.
    #[must_use]
    pub fn version(&self) -> Option<(u16, u16)> {
        self.version
    }

    /// Returns a parameter, decoded: `since`, `until` or `filters`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// Splits `/v1.45` off a path.
fn split_version(path: &str) -> (Option<(u16, u16)>, &str) {
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let at = rest.find('/')?;
        let (major, minor) = rest[..at].split_once('.')?;
        Some(((major.parse().ok()?, minor.parse().ok()?), &rest[at..]))
    });
    versioned.map_or((None, path), |(version, path)| (Some(version), path))
}

/// Decodes percent signs and plus signs. A percent sign without two digits stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let digits = text.get(index + 1..index + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[index], digits) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                index += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_is_read_in_parts() {
        let request =
            ScriptedRequest::parse("GET /v1.45/events?since=7.5&filters=%7B%22a%22%3A1%7D&x HTTP/1.1")
                .unwrap();
        assert_eq!(
            (request.method(), request.endpoint(), request.version()),
            ("GET", Endpoint::Events, Some((1, 45)))
        );
        assert_eq!(request.parameter("filters"), Some(r#"{"a":1}"#));
        assert_eq!((request.parameter("since"), request.parameter("x")), (Some("7.5"), Some("")));
        let plain = ScriptedRequest::parse("HEAD /_ping HTTP/1.1").unwrap();
        assert_eq!((plain.endpoint(), plain.version()), (Endpoint::Ping, None));
        assert_eq!(ScriptedRequest::parse("/v1/volumes"), None);
        assert_eq!(decoded("100%+%zz%C3%A9"), "100% %zzé");
    }
}
