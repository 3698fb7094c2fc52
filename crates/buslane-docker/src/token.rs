//! The position in the stream of an engine, from which a later connection continues.
//!
//! A token is made for each event, so it must be cheap: it shares a trail, to which the source
//! appends identities, and holds how many of them belong to it. A trail is full after a while; the
//! next one begins with copies of the newest identities, so a token never needs an older trail.
//! Slots are written once, before the first token that counts them; what passes the token to another
//! thread publishes them, so the accesses are `Relaxed`.

use crate::identity::Identity;
use serde_json::{Value, json};
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The newest identities that a token holds.
pub(crate) const IN_TOKEN: usize = 64;
/// The identities of a trail, the copies included.
const IN_TRAIL: usize = 4 * IN_TOKEN;
/// The form of a stored token, and of its hashes.
const VERSION: u64 = 1;
const SECOND: i64 = 1_000_000_000;

/// A position in the stream of an engine; the token of a [`DockerSource`](crate::DockerSource).
///
/// It is stored as one line of JSON: the time from which to ask, the identities of the newest events
/// by which a later connection proves that it continues, and the identity of the engine.
///
/// # Examples
/// ```
/// use buslane_docker::DockerToken;
/// let stored = r#"{"engine":"7TJZ","seen":[[1700000000000000001,"00000000000000ff"]],"since":"1699999998.000000001","version":1}"#;
/// let token: DockerToken = stored.parse()?;
/// assert_eq!(token.engine(), Some("7TJZ"));
/// assert_eq!(token.to_string(), stored);
/// assert!("{}".parse::<DockerToken>().is_err());
/// # Ok::<(), buslane_docker::ParseTokenError>(())
/// ```
#[derive(Clone)]
pub struct DockerToken {
    trail: Arc<Trail>,
    /// The number of identities in the trail that belong to the token.
    count: usize,
    /// The time from which the next connection asks. `None` asks for no history.
    since: Option<i64>,
}

/// The identities of an engine's newest events, to which the source appends.
pub(crate) struct Trail {
    engine: Option<Arc<str>>,
    slots: Box<[Slot]>,
}

#[derive(Default)]
struct Slot {
    time: AtomicI64,
    hash: AtomicU64,
}

/// The end of a trail; only the source appends.
pub(crate) struct TrailEnd {
    trail: Arc<Trail>,
    count: usize,
}

impl Trail {
    fn new(engine: Option<Arc<str>>) -> Arc<Self> {
        Arc::new(Self { engine, slots: (0..IN_TRAIL).map(|_| Slot::default()).collect() })
    }

    fn newest(&self, count: usize) -> impl ExactSizeIterator<Item = Identity> {
        self.slots[count.saturating_sub(IN_TOKEN)..count].iter().map(|slot| Identity {
            time: slot.time.load(Ordering::Relaxed),
            hash: slot.hash.load(Ordering::Relaxed),
        })
    }
}

impl TrailEnd {
    pub(crate) fn new(engine: Option<Arc<str>>) -> Self {
        Self { trail: Trail::new(engine), count: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, identity: Identity) {
        if self.count == IN_TRAIL {
            *self = self.renamed(self.trail.engine.clone());
        }
        let slot = &self.trail.slots[self.count];
        slot.time.store(identity.time, Ordering::Relaxed);
        slot.hash.store(identity.hash, Ordering::Relaxed);
        self.count += 1;
    }

    /// Returns a new trail of an engine, with the newest identities.
    pub(crate) fn renamed(&self, engine: Option<Arc<str>>) -> Self {
        let mut end = Self::new(engine);
        for earlier in self.trail.newest(self.count) {
            end.push(earlier);
        }
        end
    }

    #[inline]
    pub(crate) fn token(&self, since: Option<i64>) -> DockerToken {
        DockerToken { trail: self.trail.clone(), count: self.count, since }
    }

    /// Returns whether a token was made here last, so that it is the position of the source.
    pub(crate) fn made(&self, token: &DockerToken) -> bool {
        Arc::ptr_eq(&self.trail, &token.trail) && self.count == token.count
    }
}

impl DockerToken {
    /// Returns the identity of the engine, if it has one that lasts. Podman has none.
    #[must_use]
    pub fn engine(&self) -> Option<&str> {
        self.trail.engine.as_deref()
    }

    pub(crate) fn since(&self) -> Option<i64> {
        self.since
    }

    pub(crate) fn identities(&self) -> impl ExactSizeIterator<Item = Identity> {
        self.trail.newest(self.count)
    }
}

impl PartialEq for DockerToken {
    fn eq(&self, other: &Self) -> bool {
        (self.since, self.engine()) == (other.since, other.engine())
            && self.identities().eq(other.identities())
    }
}

impl Eq for DockerToken {}

impl fmt::Debug for DockerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerToken")
            .field("engine", &self.engine())
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// Writes one line of JSON.
impl fmt::Display for DockerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen: Vec<Value> =
            self.identities().map(|one| json!([one.time, format!("{:016x}", one.hash)])).collect();
        let since = self.since.map(Timestamp).map(|since| since.to_string());
        let token = json!({ "version": VERSION, "engine": self.engine(), "since": since, "seen": seen });
        write!(f, "{token}")
    }
}

impl FromStr for DockerToken {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let parsed: Value = serde_json::from_str(text).map_err(|_| ParseTokenError(Reason::Json))?;
        match parsed.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(version) => return Err(ParseTokenError(Reason::Version(version))),
            None => return Err(ParseTokenError(Reason::Field("version"))),
        }
        let text_of = |name: &'static str| match parsed.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(ParseTokenError(Reason::Field(name))),
        };
        let engine = text_of("engine")?.map(Arc::from);
        let since = text_of("since")?
            .map(|text| Timestamp::parse(text).ok_or(ParseTokenError(Reason::Field("since"))));
        let seen = ParseTokenError(Reason::Field("seen"));
        let list = parsed.get("seen").and_then(Value::as_array).ok_or(seen.clone())?;
        let mut end = TrailEnd::new(engine);
        for one in &list[list.len().saturating_sub(IN_TOKEN)..] {
            end.push(identity(one).ok_or(seen.clone())?);
        }
        Ok(end.token(since.transpose()?.map(|since| since.0)))
    }
}

fn identity(value: &Value) -> Option<Identity> {
    let [time, hash] = value.as_array()?.as_slice() else { return None };
    let hash = hash
        .as_str()
        .filter(|hash| hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    Some(Identity { time: time.as_i64()?, hash: u64::from_str_radix(hash, 16).ok()? })
}

/// A time in the form that the engine's API takes: seconds, and always nine digits of a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp(pub(crate) i64);

impl Timestamp {
    fn parse(text: &str) -> Option<Self> {
        let (seconds, fraction) = text.split_once('.')?;
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if fraction.len() != 9 || !is_number(fraction) || !is_number(seconds) {
            return None;
        }
        let seconds: i64 = seconds.parse().ok()?;
        seconds.checked_mul(SECOND)?.checked_add(fraction.parse().ok()?).map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The API has no times before 1970.
        let nanos = self.0.max(0);
        write!(f, "{}.{:09}", nanos / SECOND, nanos % SECOND)
    }
}

/// The error of a text that is no token of a [`DockerSource`](crate::DockerSource).
///
/// # Examples
/// ```
/// let error = "newest".parse::<buslane_docker::DockerToken>().unwrap_err();
/// assert_eq!(error.to_string(), "the token is invalid: it is no JSON");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseTokenError(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Json,
    Version(u64),
    Field(&'static str),
}

impl fmt::Display for ParseTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Json => f.write_str("the token is invalid: it is no JSON"),
            Reason::Version(version) => {
                write!(f, "the token is invalid: its version is {version}, and this crate knows {VERSION}")
            }
            Reason::Field(name) => write!(f, "the token is invalid: its field `{name}` is missing or wrong"),
        }
    }
}

impl Error for ParseTokenError {}

#[cfg(test)]
mod tests {
    use super::{DockerToken, IN_TOKEN, IN_TRAIL, Timestamp, TrailEnd};
    use crate::identity::Identity;

    fn identity(time: i64) -> Identity {
        Identity { time, hash: time as u64 * 7 }
    }

    #[test]
    fn token_keeps_its_identities_while_others_follow() {
        let mut end = TrailEnd::new(Some("engine".into()));
        let mut tokens = Vec::new();
        for time in 0..2 * IN_TRAIL as i64 {
            end.push(identity(time));
            tokens.push((end.token(Some(time)), time));
        }
        for (token, time) in tokens {
            let first = (time + 1 - IN_TOKEN as i64).max(0);
            assert!(token.identities().eq((first..=time).map(identity)), "{time}");
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn invalid_tokens_are_refused() {
        let valid = r#"{"version":1,"engine":null,"since":null,"seen":[]}"#;
        assert!(valid.parse::<DockerToken>().is_ok());
        for (part, other) in [
            ("1", "2"),
            ("1", "\"1\""),
            ("\"engine\":null", "\"engine\":7"),
            ("\"since\":null", "\"since\":7"),
            ("\"since\":null", "\"since\":\"7\""),
            ("\"since\":null", "\"since\":\"7.5\""),
            ("\"since\":null", "\"since\":\"99999999999999.000000000\""),
            ("\"since\":null", "\"since\":\"+7.000000000\""),
            ("[]", "{}"),
            ("[]", "[7]"),
            ("[]", "[[7]]"),
            ("[]", "[[7,\"xyz\"]]"),
            ("[]", "[[\"7\",\"0000000000000000\"]]"),
            ("{", ""),
        ] {
            let text = valid.replacen(part, other, 1);
            assert!(text.parse::<DockerToken>().is_err(), "{text}");
        }
        let many: Vec<String> = (0..5000).map(|time| format!("[{time},\"{:016x}\"]", time)).collect();
        let text = valid.replace("[]", &format!("[{}]", many.join(",")));
        assert_eq!(text.parse::<DockerToken>().map(|token| token.identities().len()), Ok(IN_TOKEN));
    }

    #[test]
    fn times_have_nine_digits_of_a_fraction() {
        assert_eq!(Timestamp(1_700_000_000_000_000_001).to_string(), "1700000000.000000001");
        assert_eq!(Timestamp(-1).to_string(), "0.000000000");
        assert_eq!(Timestamp::parse("7.000000001"), Some(Timestamp(7_000_000_001)));
    }
}
