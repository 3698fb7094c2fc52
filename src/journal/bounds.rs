//! The events that a subscriber selects: those between its start and its end that pass its filter.

use super::entry::{Start, Until};
use super::time::{TimeOf, TimeSource, nanos};
use crate::error::SubscribeError;
use crate::wait::context::user_code;
use std::time::{Duration, SystemTime};

/// The filter of a subscriber.
pub(super) type Wanted<E> = Box<dyn FnMut(&E) -> bool + Send>;

/// The result of checking an event against the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Within,
    /// The event is out of bounds; later events may be within.
    Outside,
    /// The event and all later ones are out of bounds.
    End,
}

/// The start and the end of a subscription.
pub(super) struct Bounds<E> {
    /// The last position, if there is one.
    last: Option<u64>,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    /// The tail of the journal when the subscriber began. Earlier events were there already, in any
    /// order of their times.
    live_from: u64,
    /// Returns an event's own time; `None` if times are sampled per block, or there are none.
    time_of: Option<TimeOf<E>>,
}

impl<E> Bounds<E> {
    pub(super) fn none() -> Self {
        Self { last: None, since: None, until: None, live_from: 0, time_of: None }
    }

    pub(super) fn new(
        time: &TimeSource<E>,
        start: Start,
        until: Option<Until>,
        live_from: u64,
    ) -> Result<Self, SubscribeError> {
        let mut bounds = Self { live_from, ..Self::none() };
        match until {
            Some(Until::Sequence(last)) => bounds.last = Some(last.get()),
            Some(Until::Time(_)) if matches!(time, TimeSource::None) => return Err(SubscribeError::NoTime),
            Some(Until::Time(until)) => bounds.until = Some(until),
            None => {}
        }
        if let TimeSource::ByEvent(time_of) = time {
            if let Start::Since(since) = start {
                bounds.since = Some(since);
            }
            if bounds.since.is_some() || bounds.until.is_some() {
                bounds.time_of = Some(time_of.clone());
            }
        }
        Ok(bounds)
    }

    /// Returns `true` if every event is within the bounds.
    pub(super) fn are_none(&self) -> bool {
        self.last.is_none() && self.since.is_none() && self.until.is_none()
    }

    /// Checks an event against the bounds. No event of its block was published before `stamp`.
    /// Calls the user's time function.
    pub(super) fn judge(&self, position: u64, event: &E, stamp: u64) -> Judgement {
        if self.last.is_some_and(|last| position > last) {
            return Judgement::End;
        }
        let Some(time_of) = &self.time_of else {
            let over = self.until.is_some_and(|until| stamp > nanos(until));
            return if over { Judgement::End } else { Judgement::Within };
        };
        let time = time_of(event);
        let was_there = position < self.live_from;
        if was_there && self.since.is_some_and(|since| time < since) {
            Judgement::Outside
        } else if self.until.is_some_and(|until| time > until) {
            if was_there { Judgement::Outside } else { Judgement::End }
        } else {
            Judgement::Within
        }
    }

    /// Returns the number of positions from this one on that are not after the last one; `u64::MAX`
    /// if there is no last one.
    pub(super) fn left_from(&self, position: u64) -> u64 {
        self.last.map_or(u64::MAX, |last| last.saturating_add(1).saturating_sub(position))
    }

    /// Returns `true` if the position alone shows that no further event is within the bounds.
    pub(super) fn end_before(&self, position: u64) -> bool {
        self.last.is_some_and(|last| position > last)
    }

    /// Returns the time until the end of the time bound, zero if it has passed, `None` without
    /// a time bound.
    pub(super) fn remaining(&self) -> Option<Duration> {
        // One nanosecond is added because the bound itself is within.
        self.until.map(|until| {
            until
                .duration_since(SystemTime::now())
                .map_or(Duration::ZERO, |left| left.saturating_add(Duration::from_nanos(1)))
        })
    }
}

/// Checks an event against the bounds and the filter. Returns an error if user code panics.
pub(super) fn ask<E>(
    bounds: &Bounds<E>,
    wanted: &mut Option<Wanted<E>>,
    (position, event): (u64, &E),
    stamp: u64,
) -> Result<Judgement, String> {
    // Nothing waits inside user code: a gating subscriber would wait for itself.
    user_code(|| match bounds.judge(position, event, stamp) {
        Judgement::Within if wanted.as_mut().is_some_and(|wanted| !wanted(event)) => Judgement::Outside,
        other => other,
    })
}
