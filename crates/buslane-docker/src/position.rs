//! Where a source is in the stream of an engine.

use crate::identity::{Identity, Seen};
use crate::token::{DockerToken, TrailEnd};
use std::sync::Arc;

/// The events that were received, by which the next connection continues.
///
/// All times are those of the engine's clock.
pub(crate) struct Position {
    engine: Option<Arc<str>>,
    seen: Seen,
    /// The time of the event that was received last. The clock may have stepped back, so it is not
    /// the latest one: that one might be in the future for a long time.
    last: Option<i64>,
    /// The time where this source began. What happened before is not asked for.
    begin: Option<i64>,
    /// The number of events that were received since the last gap, and the first of them. Another
    /// process, whose token this continues, has received the first one.
    unbroken: usize,
    first: Option<Identity>,
    /// Whether there was a gap. It covers all that happened before the first event after it.
    is_broken: bool,
    /// How much earlier than the last event a connection asks.
    margin: i64,
    trail: TrailEnd,
}

impl Position {
    /// Begins at a time. Without one, at the first event.
    pub(crate) fn begin(engine: Option<Arc<str>>, begin: Option<i64>, margin: i64) -> Self {
        let trail = TrailEnd::new(engine.clone());
        Self {
            engine,
            seen: Seen::default(),
            last: None,
            begin,
            unbroken: 0,
            first: None,
            is_broken: false,
            margin,
            trail,
        }
    }

    /// Continues at a token of another source or process.
    pub(crate) fn resume(token: &DockerToken, margin: i64) -> Self {
        let mut position = Self::begin(token.engine().map(Arc::from), token.since(), margin);
        for identity in token.identities() {
            position.receive(identity);
        }
        // What was received first is not known.
        position.first = None;
        position
    }

    /// Takes note of the identity of the engine, if it was not known.
    pub(crate) fn adopt(&mut self, engine: Option<&Arc<str>>) {
        if self.engine.is_none() && engine.is_some() {
            self.engine = engine.cloned();
            self.trail = self.trail.renamed(self.engine.clone());
        }
    }

    /// Returns whether this is the position that a token names.
    pub(crate) fn is_at(&self, token: &DockerToken) -> bool {
        self.trail.made(token)
    }

    /// Takes note of an event that was received.
    #[inline]
    pub(crate) fn receive(&mut self, identity: Identity) {
        if self.unbroken == 0 {
            self.first = Some(identity);
        }
        self.unbroken += 1;
        self.seen.push(identity);
        self.trail.push(identity);
        self.pass(identity.time);
    }

    /// Takes note of the time of an event that has no identity.
    #[inline]
    pub(crate) fn pass(&mut self, time: i64) {
        self.last = Some(time);
        if self.begin.is_none() {
            self.begin = self.last;
        }
    }

    /// Returns whether an event was received before.
    #[inline]
    pub(crate) fn has_received(&self, identity: Identity) -> bool {
        self.seen.contains(identity)
    }

    /// Takes note of a gap: it is unknown what happened between the last event and the next one.
    pub(crate) fn break_off(&mut self) {
        (self.unbroken, self.first, self.is_broken) = (0, None, true);
    }

    /// Returns whether a replay that contains an event continues after the last event. Events from
    /// before the last gap prove nothing, unless there are no others.
    pub(crate) fn proves(&self, identity: Identity) -> bool {
        match self.unbroken {
            0 => self.has_received(identity),
            count => self.seen.is_among_newest(identity, count),
        }
    }

    /// Returns whether an event that a replay has upstream of `next` is none of this source, because a
    /// gap covers it or it happened before the source began. The time alone does not decide, since the
    /// clock may have been set back.
    pub(crate) fn precedes(&self, identity: Identity, next: Identity) -> bool {
        let is_covered = self.is_broken || self.begin.is_some_and(|begin| identity.time < begin);
        self.first == Some(next) && is_covered && !self.has_received(identity)
    }

    /// Returns whether there is an event by which a connection can prove that it continues.
    pub(crate) fn can_prove(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Returns the identity of the engine, if it is known.
    pub(crate) fn engine(&self) -> Option<&str> {
        self.engine.as_deref()
    }

    /// Returns the time from which the next connection asks.
    #[inline]
    pub(crate) fn since(&self) -> Option<i64> {
        let Some(last) = self.last else { return self.begin };
        let early = last.saturating_sub(self.margin);
        // An event before the beginning means that the clock was set back.
        match self.begin {
            Some(begin) if last >= begin => Some(early.max(begin)),
            _ => Some(early),
        }
    }

    #[inline]
    pub(crate) fn token(&self) -> DockerToken {
        self.trail.token(self.since())
    }
}

#[cfg(test)]
mod tests {
    use super::Position;
    use crate::identity::Identity;

    fn received(begin: Option<i64>, times: &[i64]) -> Position {
        let mut position = Position::begin(None, begin, 20);
        for time in times {
            position.receive(Identity { time: *time, hash: 1 });
        }
        position
    }

    #[test]
    fn next_connection_asks_a_margin_earlier() {
        assert_eq!(received(None, &[]).since(), None);
        assert_eq!(received(Some(100), &[]).since(), Some(100));
        assert_eq!(received(Some(100), &[110]).since(), Some(100), "not before the beginning");
        assert_eq!(received(Some(100), &[150]).since(), Some(130));
        assert_eq!(received(None, &[150]).since(), Some(150), "the first event is the beginning");
        assert_eq!(received(Some(100), &[150, 140]).since(), Some(120), "the last one counts");
        assert_eq!(received(Some(100), &[150, 50]).since(), Some(30), "the clock was set back");
    }

    #[test]
    fn token_of_another_process_has_the_same_position() {
        let mut position = received(Some(100), &[110, 150]);
        let token = position.token();
        assert!(position.is_at(&token));
        let resumed = Position::resume(&token, 20);
        assert!(!resumed.is_at(&token));
        assert_eq!(resumed.token(), token);
        assert_eq!(resumed.since(), position.since());
        assert!(resumed.has_received(Identity { time: 110, hash: 1 }));
        position.receive(Identity { time: 151, hash: 1 });
        assert!(!position.is_at(&token));
    }
}
