//! Where a source is in the stream of an engine.

use crate::identity::{Identity, Seen, Skipped};
use crate::token::{DockerToken, TrailEnd};
use std::sync::Arc;

/// How far apart the times of two events may be that the engine published in another order than that
/// of its history, in nanoseconds. It stamps, keeps and publishes events without one lock for all.
const LATEST_PUBLICATION: u64 = 100_000_000;

/// The events that were received, by which the next connection continues.
///
/// All times are those of the engine's clock.
pub(crate) struct Position {
    engine: Option<Arc<str>>,
    seen: Seen,
    /// The values that were no events.
    skipped: Skipped,
    /// The time of the event that was received last. The clock may have stepped back, so it is not
    /// the latest one: that one might be in the future for a long time.
    last: Option<i64>,
    /// The time where this source began. What happened before is not asked for.
    begin: Option<i64>,
    /// The number of events that were received since the last gap, and the first of them. Of a token,
    /// the first one is the oldest that it holds.
    unbroken: usize,
    first: Option<Identity>,
    /// Whether there was a gap. It covers what happened before the first event after it.
    is_broken: bool,
    /// The time when the connection after the gap was opened. What happened later is not covered.
    /// `None` if everything before the first event is.
    uncovered: Option<i64>,
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
            skipped: Skipped::default(),
            last: None,
            begin,
            unbroken: 0,
            first: None,
            is_broken: false,
            uncovered: None,
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
        // The other process has received what came before the oldest identity of a full token, or a
        // gap has covered it. A token that is not full begins where that process did, or at its gap.
        position.is_broken = true;
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
            self.begin_anew(identity);
        }
        self.unbroken += 1;
        self.seen.push(identity);
        self.trail.push(identity);
        self.pass(identity.time);
    }

    /// Takes note of the first event after a gap. A token does not name events from before it, since
    /// those prove nothing.
    #[cold]
    fn begin_anew(&mut self, first: Identity) {
        self.first = Some(first);
        if self.is_broken {
            self.trail = TrailEnd::new(self.engine.clone());
        }
    }

    /// Takes note of the time of an event that has no identity.
    #[inline]
    pub(crate) fn pass(&mut self, time: i64) {
        self.last = Some(time);
        if self.begin.is_none() {
            self.begin = self.last;
        }
    }

    /// Takes note of a new connection.
    pub(crate) fn reconnect(&mut self) {
        self.skipped.reconnect();
    }

    /// Takes note of a value that is no event. Returns whether an earlier connection has received it.
    pub(crate) fn skips_again(&mut self, hash: u64) -> bool {
        self.skipped.is_repeated(hash)
    }

    /// Returns whether an event was received before.
    #[inline]
    pub(crate) fn has_received(&self, identity: Identity) -> bool {
        self.seen.contains(identity)
    }

    /// Takes note of a gap: it is unknown what happened between the last event and the next one, on a
    /// connection that was opened at a time.
    pub(crate) fn break_off(&mut self, opened: Option<i64>) {
        (self.unbroken, self.first, self.is_broken, self.uncovered) = (0, None, true, opened);
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
        // It may have been published after the first one.
        let is_late = identity.time.abs_diff(next.time) <= LATEST_PUBLICATION
            && self.uncovered.is_some_and(|opened| identity.time >= opened);
        let is_covered = self.is_broken && !is_late || self.begin.is_some_and(|begin| identity.time < begin);
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
    fn gap_covers_no_event_that_was_published_late() {
        let event = |time: i64| Identity { time: time * 1_000_000, hash: 1 };
        let mut position = Position::begin(None, None, 20);
        position.receive(event(1));
        position.break_off(Some(2_000_000_000));
        position.receive(event(3000));
        assert!(position.precedes(event(1999), event(3000)), "from before the connection");
        assert!(position.precedes(event(2899), event(3000)), "too early for a late publication");
        assert!(!position.precedes(event(2900), event(3000)));
        position.break_off(Some(2_950_000_000));
        position.receive(event(3000));
        assert!(position.precedes(event(2949), event(3000)));
        assert!(!position.precedes(event(2950), event(3000)));
        assert!(!position.precedes(event(3100), event(3000)));
        assert!(position.precedes(event(3101), event(3000)), "the clock was set back");
    }

    #[test]
    fn token_holds_nothing_from_before_a_gap() {
        let mut position = received(Some(100), &[110, 120]);
        position.break_off(None);
        assert_eq!(position.token().identities().count(), 2, "nothing else can prove");
        position.receive(Identity { time: 150, hash: 1 });
        assert_eq!(position.token().identities().count(), 1);
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
