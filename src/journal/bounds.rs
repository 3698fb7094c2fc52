//! Which events a subscriber wants: those between its beginning and its end that pass its filter.

use super::entry::{Start, Until};
use super::time::{TimeOf, TimeSource, nanos};
use crate::error::SubscribeError;
use crate::wait::context::user_code;
use std::time::{Duration, SystemTime};

/// Says which events a subscriber wants.
pub(super) type Wanted<E> = Box<dyn FnMut(&E) -> bool + Send>;

/// What a bound says about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Within,
    /// It lies outside, and later ones may lie within.
    Outside,
    /// It and all that follow lie outside.
    End,
}

/// Which events lie between a subscriber's beginning and its end.
pub(super) struct Bounds<E> {
    /// The last place, if there is one.
    last: Option<u64>,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    /// Where the journal was when the subscriber began: what lies before was there already, in whatever order of times.
    live_from: u64,
    /// How events tell their time; `None` where the blocks do, or nothing does.
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

    /// Whether every event lies within.
    pub(super) fn are_none(&self) -> bool {
        self.last.is_none() && self.since.is_none() && self.until.is_none()
    }

    /// `stamp` is a time before which no event of this one's block came. Calls the user's function.
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

    /// Whether the place alone says that nothing follows.
    pub(super) fn end_before(&self, position: u64) -> bool {
        self.last.is_some_and(|last| position > last)
    }

    /// How long it is until nothing follows any more, as far as time alone says so; zero when that is now.
    pub(super) fn remaining(&self) -> Option<Duration> {
        // A nanosecond more: the bound itself lies within.
        self.until.map(|until| {
            until
                .duration_since(SystemTime::now())
                .map_or(Duration::ZERO, |left| left.saturating_add(Duration::from_nanos(1)))
        })
    }
}

/// Asks the bounds and the filter about an event; an error when the user's code panics.
pub(super) fn ask<E>(
    bounds: &Bounds<E>,
    wanted: &mut Option<Wanted<E>>,
    (position, event): (u64, &E),
    stamp: u64,
) -> Result<Judgement, String> {
    // Inside user code nothing waits: a gating subscriber would wait for itself.
    user_code(|| match bounds.judge(position, event, stamp) {
        Judgement::Within if wanted.as_mut().is_some_and(|wanted| !wanted(event)) => Judgement::Outside,
        other => other,
    })
}
