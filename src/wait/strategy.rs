//! Wait strategies of consumers, and the pure logic that derives the next step from what was found.

use crate::error::{ConfigError, Invalid, ParseSettingError};
use crate::sync::MODEL;
use crate::sync::processors::usable_processors;
use crate::wait::payer::{ParkRate, Payer};
use crate::wait::text::{Text, parse_two, split};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The strategy by which a consumer waits when it finds no event.
///
/// | strategy | consumer | publisher pays | idle |
/// |---|---|---|---|
/// | [`Nap`](Self::Nap) (default of `Queue`) | naps, for less time at a higher event rate; parks after an idle period | at most one wake-up per idle period | nothing |
/// | [`SpinPark`](Self::SpinPark) (default of `Receiver`) | spins briefly, parks | a wake-up whenever the consumer is parked; while it parks often, also one fence per publish | nothing |
/// | [`Park`](Self::Park) | parks at once | the same, more often | nothing |
/// | [`Poll`](Self::Poll) | never parks; the interval doubles from `busy` to `idle` | no system call | up to 1 % of a processor |
/// | [`BusySpin`](Self::BusySpin) | spins | nothing | a whole processor |
///
/// With each strategy, a consumer that keeps up with a fast flow (more than one event in about 60
/// ns) pauses for up to a microsecond after it has drained its lanes. So the consumer and the
/// publishers work in batches instead of contending for the same cache lines. A single event is not
/// delayed.
///
/// With one or two processors only `BusySpin` spins for more than a microsecond or two; with one, no
/// other strategy spins at all. The number of processors is read once: the online ones, on which the
/// process may run, within the quota of its control group.
///
/// # As text `Display` writes, and `FromStr` reads, `nap:NAP,PARK_AFTER`, `spin_park`, `park`,
/// `poll:BUSY,IDLE` and `busy_spin`; `FromStr` also accepts `nap` and `poll` with their defaults,
/// and `-` for `_`. A duration is a whole number and a unit: `ns`, `us`, `ms` or `s`. With the
/// feature `serde` the same text is the serialized form.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, WaitStrategy};
/// use std::time::Duration;
/// let poll = WaitStrategy::Poll { busy: Duration::from_micros(50), idle: Duration::from_millis(1) };
/// for wait in [WaitStrategy::nap(), WaitStrategy::SpinPark, WaitStrategy::Park, poll, WaitStrategy::BusySpin] {
///     let (channel, mut receiver) = Channel::builder().wait_strategy(wait).build()?;
///     let reader = std::thread::spawn(move || receiver.recv());
///     channel.write(7)?;
///     assert_eq!(reader.join().unwrap(), Ok(7));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitStrategy {
    /// Naps for at most `nap`, and only until a lane would be a quarter full; parks after
    /// `park_after` without an event. Default: 100 µs and 10 ms.
    Nap {
        /// The longest nap; limited to `park_after`, and to a second.
        nap: Duration,
        /// The idle time after which the consumer parks and must be woken.
        park_after: Duration,
    },
    /// Spins for a microsecond or two (longer with more than two processors), yields, then parks.
    SpinPark,
    /// Parks at once.
    Park,
    /// Sleeps for an interval that doubles from `busy` to `idle` while no event arrives. Default:
    /// 100 µs and 10 ms.
    ///
    /// An idle consumer wakes up once per `idle`: with the default 100 times a second, which takes
    /// at most 1 % of a processor. Half the interval costs twice as much.
    Poll {
        /// The interval while events flow.
        busy: Duration,
        /// The interval while no events flow.
        idle: Duration,
    },
    /// Spins without end: the lowest latency, at the cost of a whole processor.
    ///
    /// With more spinning threads than processors, the scheduler runs them in turn, milliseconds
    /// each, and every thread waits for its turn. Any other strategy is faster then.
    BusySpin,
}

impl WaitStrategy {
    /// Returns [`Nap`](Self::Nap) with its defaults: 100 µs, and 10 ms.
    ///
    /// # Examples
    /// ```
    /// use buslane::WaitStrategy;
    /// use std::time::Duration;
    /// let (nap, park_after) = (Duration::from_micros(100), Duration::from_millis(10));
    /// assert_eq!(WaitStrategy::nap(), WaitStrategy::Nap { nap, park_after });
    /// ```
    #[must_use]
    pub const fn nap() -> Self {
        Self::Nap { nap: Duration::from_micros(100), park_after: Duration::from_millis(10) }
    }

    /// Returns [`Poll`](Self::Poll) with its defaults: 100 µs, and 10 ms.
    ///
    /// # Examples
    /// ```
    /// use buslane::WaitStrategy;
    /// use std::time::Duration;
    /// let (busy, idle) = (Duration::from_micros(100), Duration::from_millis(10));
    /// assert_eq!(WaitStrategy::poll(), WaitStrategy::Poll { busy, idle });
    /// ```
    #[must_use]
    pub const fn poll() -> Self {
        Self::Poll { busy: Duration::from_micros(100), idle: Duration::from_millis(10) }
    }

    /// Returns whether the consumer parks so rarely that the asymmetric fence is cheaper.
    pub(crate) fn parks_rarely(self) -> bool {
        !matches!(self, Self::SpinPark | Self::Park)
    }

    /// Returns whether a consumer with dry lanes naps or parks, rather than to poll at once.
    pub(crate) fn sleeps(self) -> bool {
        !matches!(self, Self::SpinPark | Self::BusySpin)
    }

    pub(crate) fn check(self) -> Result<Self, ConfigError> {
        match self {
            Self::Nap { nap, .. } if nap.is_zero() => Err(Invalid::ZeroInterval.into()),
            Self::Poll { busy, .. } if busy.is_zero() => Err(Invalid::ZeroInterval.into()),
            Self::Poll { busy, idle } if idle < busy => Err(Invalid::InvertedInterval { busy, idle }.into()),
            other => Ok(other),
        }
    }
}

impl fmt::Display for WaitStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nap { nap, park_after } => write!(f, "nap:{},{}", Text(*nap), Text(*park_after)),
            Self::SpinPark => f.write_str("spin_park"),
            Self::Park => f.write_str("park"),
            Self::Poll { busy, idle } => write!(f, "poll:{},{}", Text(*busy), Text(*idle)),
            Self::BusySpin => f.write_str("busy_spin"),
        }
    }
}

impl FromStr for WaitStrategy {
    type Err = ParseSettingError;

    /// Parses the text that `Display` writes.
    ///
    /// # Errors
    /// [`ParseSettingError`] with the list of valid texts. Whether the intervals are valid is
    /// checked by the call that uses them.
    ///
    /// # Examples
    /// ```
    /// use buslane::WaitStrategy;
    /// use std::time::Duration;
    /// assert_eq!("nap".parse(), Ok(WaitStrategy::nap()));
    /// let poll: WaitStrategy = "poll:50us,2ms".parse()?;
    /// assert_eq!(poll, WaitStrategy::Poll { busy: Duration::from_micros(50), idle: Duration::from_millis(2) });
    /// assert_eq!(poll.to_string(), "poll:50us,2ms");
    /// # Ok::<(), buslane::error::ParseSettingError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rest) = split(text);
        let strategy = match (name.as_str(), rest) {
            ("nap", None) => Some(Self::nap()),
            ("nap", Some(rest)) => parse_two(rest).map(|(nap, park_after)| Self::Nap { nap, park_after }),
            ("spin_park", None) => Some(Self::SpinPark),
            ("park", None) => Some(Self::Park),
            ("poll", None) => Some(Self::poll()),
            ("poll", Some(rest)) => parse_two(rest).map(|(busy, idle)| Self::Poll { busy, idle }),
            ("busy_spin", None) => Some(Self::BusySpin),
            _ => None,
        };
        strategy.ok_or_else(|| ParseSettingError::new(text, "wait strategy", VALID))
    }
}

const VALID: &str = "nap, nap:NAP,PARK_AFTER, spin_park, park, poll, poll:BUSY,IDLE or busy_spin";

#[cfg(feature = "serde")]
crate::error::serde_as_text!(WaitStrategy);

/// The next step of a consumer that found no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Spin,
    Yield,
    Nap(Duration),
    Park,
}

/// A nap shorter than this costs more than it saves.
const SHORTEST_NAP: Duration = Duration::from_micros(20);
/// The longest nap of `Nap`, whatever the user asked for: no event waits longer.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// The recent observations of a consumer, which determine how it waits.
#[derive(Debug)]
pub(crate) struct Idler {
    strategy: WaitStrategy,
    /// Empty polls since the last event.
    looks: u32,
    /// All events, and those of them before the last decision.
    events: u64,
    decided_events: u64,
    /// The time of the last decision.
    decided: Option<Instant>,
    /// The time at which the idle period began.
    silent_since: Option<Instant>,
    interval: Duration,
    parks: ParkRate,
}

impl Idler {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Self {
            strategy,
            looks: 0,
            events: 0,
            decided_events: 0,
            decided: None,
            silent_since: None,
            interval: Duration::ZERO,
            parks: ParkRate::new(),
        }
    }

    /// Records that the consumer found `events` events, at least one: a poll that found none must
    /// not restart the wait.
    #[inline]
    pub(crate) fn found(&mut self, events: usize) {
        debug_assert!(events > 0, "a poll that found no event must not be reported");
        self.events = self.events.wrapping_add(events as u64);
        self.looks = 0;
    }

    /// Takes back the last of the events that were recorded as found: a later poll finds them again.
    pub(crate) fn left_unread(&mut self, events: usize) {
        self.events = self.events.saturating_sub(events as u64);
    }

    /// Returns the side that pays for the fence of a park now.
    pub(crate) fn parks(&mut self, now: impl FnOnce() -> Instant) -> Payer {
        // A model has no time. Its mailboxes have the symmetric pair, which leaves no choice.
        if MODEL { Payer::Consumer } else { self.parks.parks(self.events, now()) }
    }

    /// Returns whether publishers pay for the fences of parks that have become rare.
    #[inline]
    pub(crate) fn has_calmed(&self) -> bool {
        self.parks.has_calmed(self.events)
    }

    /// Records that publishers no longer pay for the fences of parks.
    pub(crate) fn consumer_pays(&mut self) {
        self.parks.consumer_pays();
    }

    /// Records that the consumer was woken from a park: it naps for a while before it parks again.
    ///
    /// Where several consumers share the events, most wake-ups find none. Without the naps, each
    /// event would cost its publisher a wake-up.
    pub(crate) fn roused(&mut self) {
        self.silent_since = None;
    }

    /// Returns the next step of a consumer that found no event. `capacity` is that of a lane.
    pub(crate) fn step(&mut self, capacity: usize, now: impl FnOnce() -> Instant) -> Step {
        if MODEL {
            return Step::Park;
        }
        self.looks = self.looks.saturating_add(1);
        match self.strategy {
            WaitStrategy::BusySpin => Step::Spin,
            WaitStrategy::Park => Step::Park,
            WaitStrategy::SpinPark => {
                let spins = spin_looks();
                if self.looks <= spins {
                    Step::Spin
                } else if self.looks == spins + 1 {
                    Step::Yield
                } else {
                    Step::Park
                }
            }
            WaitStrategy::Nap { nap, park_after } => {
                let now = now();
                let (silence, limit) = self.flow(now, capacity);
                // No publisher ends a nap: a nap longer than `park_after` would delay the park.
                let nap = nap.min(park_after).min(LONGEST_NAP).min(limit);
                if silence >= park_after { Step::Park } else { Self::nap_or_yield(nap) }
            }
            WaitStrategy::Poll { busy, idle } => {
                let now = now();
                let (silence, limit) = self.flow(now, capacity);
                self.interval =
                    if silence.is_zero() { busy } else { self.interval.saturating_mul(2).clamp(busy, idle) };
                Self::nap_or_yield(self.interval.min(limit))
            }
        }
    }

    fn nap_or_yield(nap: Duration) -> Step {
        if nap < SHORTEST_NAP { Step::Yield } else { Step::Nap(nap) }
    }

    /// Returns how long no event arrived, and how long a nap may last before a lane is a quarter
    /// full at the last observed rate.
    fn flow(&mut self, now: Instant, capacity: usize) -> (Duration, Duration) {
        let events = self.events.wrapping_sub(std::mem::replace(&mut self.decided_events, self.events));
        let since = self.decided.replace(now);
        if events == 0 {
            let silent_since = *self.silent_since.get_or_insert(now);
            return (now.saturating_duration_since(silent_since), Duration::MAX);
        }
        self.silent_since = None;
        let elapsed = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let quarter = (capacity as u64 / 4).max(1);
        let until_a_quarter = elapsed.as_secs_f64() * quarter as f64 / events as f64;
        (Duration::ZERO, Duration::try_from_secs_f64(until_a_quarter).unwrap_or(Duration::MAX))
    }
}

/// Returns the number of polls before a thread parks: a microsecond or two on one or two
/// processors.
pub(crate) fn spin_looks() -> u32 {
    if MODEL {
        return 0;
    }
    static LOOKS: OnceLock<u32> = OnceLock::new();
    *LOOKS.get_or_init(|| looks_on(usable_processors()))
}

/// Returns the number of polls of a process with this many processors.
fn looks_on(processors: usize) -> u32 {
    match processors {
        1 => 0,
        2 => 30,
        _ => 200,
    }
}

#[cfg(test)]
mod tests {
    use super::{Idler, Step, WaitStrategy, looks_on};
    use crate::docs::default_of;
    use std::time::{Duration, Instant};

    const MICROSECOND: Duration = Duration::from_micros(1);

    fn decide(idler: &mut Idler, start: Instant, micros: u32, events: usize) -> Step {
        if events > 0 {
            idler.found(events);
        }
        idler.step(1024, || start + MICROSECOND * micros)
    }

    #[test]
    fn naps_follow_the_event_rate_and_end_in_a_park() {
        let (mut idler, start) = (Idler::new(WaitStrategy::nap()), Instant::now());
        let _ = decide(&mut idler, start, 0, 1);
        // 1024 events in 100 µs: a quarter of the lane is 25 µs.
        assert_eq!(decide(&mut idler, start, 100, 1024), Step::Nap(25 * MICROSECOND));
        // Ten times as many: no nap at all.
        assert_eq!(decide(&mut idler, start, 200, 10_240), Step::Yield);
        // A trickle: the longest nap.
        assert_eq!(decide(&mut idler, start, 300, 1), Step::Nap(100 * MICROSECOND));
        assert_eq!(decide(&mut idler, start, 400, 0), Step::Nap(100 * MICROSECOND));
        assert_eq!(decide(&mut idler, start, 10_399, 0), Step::Nap(100 * MICROSECOND));
        assert_eq!(decide(&mut idler, start, 10_400, 0), Step::Park);
    }

    #[test]
    fn poll_doubles_its_idle_interval_and_never_parks() {
        let (mut idler, start) = (Idler::new(WaitStrategy::poll()), Instant::now());
        let _ = decide(&mut idler, start, 0, 1);
        assert_eq!(decide(&mut idler, start, 1000, 1), Step::Nap(100 * MICROSECOND));
        let _ = decide(&mut idler, start, 1100, 0);
        assert_eq!(decide(&mut idler, start, 1200, 0), Step::Nap(200 * MICROSECOND));
        assert_eq!(decide(&mut idler, start, 1400, 0), Step::Nap(400 * MICROSECOND));
        for micros in 2000..2020 {
            let _ = decide(&mut idler, start, micros, 0);
        }
        assert_eq!(decide(&mut idler, start, 9_000_000, 0), Step::Nap(Duration::from_millis(10)));
    }

    #[test]
    fn page_of_defaults_has_the_polls() {
        let looks = [1, 2, 3].map(looks_on);
        let text = format!("{} with one processor, {} with two, {} with more", looks[0], looks[1], looks[2]);
        assert_eq!(default_of(&["`SpinPark`", "polls"]), text);
        let (one, more) = ([2, 3].map(looks_on), [3, 64].map(looks_on));
        assert!(one[0] < one[1] && more[0] == more[1]);
    }

    #[test]
    fn invalid_intervals_are_refused() {
        use crate::error::Invalid;
        let zero = Duration::ZERO;
        assert_eq!(
            WaitStrategy::Nap { nap: zero, park_after: zero }.check(),
            Err(Invalid::ZeroInterval.into())
        );
        assert_eq!(WaitStrategy::Poll { busy: zero, idle: zero }.check(), Err(Invalid::ZeroInterval.into()));
        let (busy, idle) = (2 * MICROSECOND, MICROSECOND);
        assert_eq!(
            WaitStrategy::Poll { busy, idle }.check(),
            Err(Invalid::InvertedInterval { busy, idle }.into())
        );
    }
}
