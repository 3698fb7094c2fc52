//! Invalid settings.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// An invalid setting, with its value and its limit.
///
/// [`kind`](Self::kind) returns which setting is invalid. The text names the value, the limit and
/// the remedy. [Where settings are checked](crate::error#where-settings-are-checked) lists the
/// calls that return this error.
///
/// # Examples
/// ```
/// use buslane::Channel;
/// use buslane::error::{BuildError, ConfigErrorKind};
/// let Err(BuildError::Config(error)) = Channel::<u32>::lossy(0) else { unreachable!() };
/// assert_eq!(error.kind(), ConfigErrorKind::Capacity);
/// assert_eq!(error.to_string(), "capacity 0 is invalid: it must be at least 1 event");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError(Invalid);

/// The setting that is invalid.
///
/// # Examples
/// ```
/// use buslane::error::ConfigErrorKind;
/// use buslane::retry::Backoff;
/// let error = Backoff::default().jitter(2.0).validate().unwrap_err();
/// assert_eq!(error.kind(), ConfigErrorKind::Jitter);
/// assert_eq!(error.to_string(), "jitter 2 is invalid: it must be a number from 0 to 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The capacity of a queue, a channel, a journal or a keyed retry: it is 0, or larger than a
    /// ring can be.
    Capacity,
    /// The maximum number of events in one batch: it is 0.
    BatchSize,
    /// The maximum number of bytes in one batch: it is 0.
    BatchBytes,
    /// The age at which a batch is forwarded: it is zero.
    BatchAge,
    /// An interval of a wait strategy: it is zero, or the longest interval is shorter than the
    /// shortest.
    Interval,
    /// A rate limit: it is not a finite number of events greater than 0.
    Rate,
    /// The burst of a rate limit: it is 0.
    Burst,
    /// A sampling ratio of one event in 0.
    Sample,
    /// The name of a worker thread: it contains a NUL byte.
    Name,
    /// The maximum number of attempts of a retry: it is 0.
    Attempts,
    /// A backoff: it is zero, or the longest backoff is shorter than the first.
    Backoff,
    /// The factor of a backoff: it is less than 1, or not finite.
    Factor,
    /// The jitter of a backoff: it is not a number from 0 to 1.
    Jitter,
    /// The number of failures after which a breaker opens: it is 0.
    Threshold,
    /// The number of workers of a queue: it is 0, or too large.
    Workers,
    /// A single handler for several workers.
    Handlers,
    /// The time without news after which a monitor checks its source: it is zero.
    Silence,
    /// The number of events after which a monitor stores a token: it is 0.
    TokenInterval,
    /// A setting of a sink or a policy outside this crate: see [`ConfigError::other`].
    Other,
}

/// The invalid setting, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    ZeroCapacity,
    CapacityTooLarge { asked: usize, most: usize },
    ZeroBatch,
    ZeroBytes,
    ZeroAge,
    ZeroInterval,
    InvertedInterval { busy: Duration, idle: Duration },
    Rate(Number),
    ZeroBurst,
    ZeroSample,
    NulInName { name: Name, index: usize },
    ZeroAttempts,
    ZeroBackoff,
    InvertedBackoff { base: Duration, max: Duration },
    Factor(Number),
    Jitter(Number),
    ZeroThreshold,
    ZeroWorkers,
    TooManyWorkers { asked: usize, most: usize },
    OneHandler { workers: usize },
    ZeroSilence,
    ZeroStore,
    Other(&'static str),
}

/// A number compared by its bits, so that an error with `NaN` equals itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(u64);

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self(number.to_bits())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f64::from_bits(self.0).fmt(f)
    }
}

/// The longest start of a name that an error keeps, in bytes. It makes an error no larger than two
/// durations do.
const NAME_LEN: usize = 22;

/// The start of a name. An error can be copied, so it holds no string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    bytes: [u8; NAME_LEN],
    len: u8,
    is_cut: bool,
}

impl Name {
    fn new(name: &str) -> Self {
        let mut len = name.len().min(NAME_LEN);
        while !name.is_char_boundary(len) {
            len -= 1;
        }
        let mut bytes = [0; NAME_LEN];
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Self { bytes, len: len as u8, is_cut: len < name.len() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = str::from_utf8(&self.bytes[..self.len.into()]).unwrap_or_default();
        write!(f, "{name:?}{}", if self.is_cut { "..." } else { "" })
    }
}

impl Invalid {
    /// Returns the error for a thread name with a NUL byte, or `None` if it has none.
    pub(crate) fn nul_in_name(name: &str) -> Option<Self> {
        let index = name.find('\0')?;
        Some(Self::NulInName { name: Name::new(name), index })
    }
}

impl ConfigError {
    /// Makes an error for an invalid setting of a sink or a retry policy outside this crate.
    ///
    /// The text states what is wrong and what to do. It begins in lower case and has no full stop.
    ///
    /// # Examples
    /// A retry policy that checks its own setting:
    /// ```
    /// use buslane::error::{AddError, ConfigError, ConfigErrorKind};
    /// use buslane::retry::{Attempt, Next, RetryPolicy};
    /// use buslane::{Bus, SinkExt, noop};
    /// struct Most(u32);
    /// impl<E> RetryPolicy<E> for Most {
    ///     fn failure(&self, _event: &E, attempt: &Attempt<'_>) -> Next {
    ///         if attempt.number() < self.0 { Next::Again } else { Next::GiveUp }
    ///     }
    ///     fn validate(&self) -> Result<(), ConfigError> {
    ///         if self.0 > 0 { Ok(()) } else { Err(ConfigError::other("most 0 is invalid: it must be at least 1")) }
    ///     }
    /// }
    /// let bus = Bus::<u32>::new();
    /// let Err(AddError::Config(error)) = bus.add(noop().retry(Most(0))) else { unreachable!() };
    /// assert_eq!(error.kind(), ConfigErrorKind::Other);
    /// ```
    #[must_use]
    pub const fn other(text: &'static str) -> Self {
        Self(Invalid::Other(text))
    }

    /// Returns the setting that is invalid.
    ///
    /// # Examples
    /// ```
    /// use buslane::error::{ConfigErrorKind, SpawnError};
    /// use buslane::{SinkExt, noop};
    /// let Err(SpawnError::Config(error)) = noop::<u32>().sample(0).queue(64) else { unreachable!() };
    /// assert_eq!(error.kind(), ConfigErrorKind::Sample);
    /// ```
    #[must_use]
    pub const fn kind(&self) -> ConfigErrorKind {
        match self.0 {
            Invalid::ZeroCapacity | Invalid::CapacityTooLarge { .. } => ConfigErrorKind::Capacity,
            Invalid::ZeroBatch => ConfigErrorKind::BatchSize,
            Invalid::ZeroBytes => ConfigErrorKind::BatchBytes,
            Invalid::ZeroAge => ConfigErrorKind::BatchAge,
            Invalid::ZeroInterval | Invalid::InvertedInterval { .. } => ConfigErrorKind::Interval,
            Invalid::Rate(_) => ConfigErrorKind::Rate,
            Invalid::ZeroBurst => ConfigErrorKind::Burst,
            Invalid::ZeroSample => ConfigErrorKind::Sample,
            Invalid::NulInName { .. } => ConfigErrorKind::Name,
            Invalid::ZeroAttempts => ConfigErrorKind::Attempts,
            Invalid::ZeroBackoff | Invalid::InvertedBackoff { .. } => ConfigErrorKind::Backoff,
            Invalid::Factor(_) => ConfigErrorKind::Factor,
            Invalid::Jitter(_) => ConfigErrorKind::Jitter,
            Invalid::ZeroThreshold => ConfigErrorKind::Threshold,
            Invalid::ZeroWorkers | Invalid::TooManyWorkers { .. } => ConfigErrorKind::Workers,
            Invalid::OneHandler { .. } => ConfigErrorKind::Handlers,
            Invalid::ZeroSilence => ConfigErrorKind::Silence,
            Invalid::ZeroStore => ConfigErrorKind::TokenInterval,
            Invalid::Other(_) => ConfigErrorKind::Other,
        }
    }
}

impl From<Invalid> for ConfigError {
    fn from(invalid: Invalid) -> Self {
        Self(invalid)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Invalid::ZeroCapacity => f.write_str("capacity 0 is invalid: it must be at least 1 event"),
            Invalid::CapacityTooLarge { asked, most } => {
                write!(f, "capacity {asked} is invalid: it must be at most {most} events")
            }
            Invalid::ZeroBatch => f.write_str("batch size 0 is invalid: it must be at least 1 event"),
            Invalid::ZeroBytes => {
                f.write_str("batch limit of 0 bytes is invalid: it must be at least 1 byte")
            }
            Invalid::ZeroAge => f.write_str("batch age 0 is invalid: it must be longer than zero"),
            Invalid::ZeroInterval => f.write_str(
                "waiting interval 0 is invalid: it must be longer than zero, or use WaitStrategy::BusySpin",
            ),
            Invalid::InvertedInterval { busy, idle } => {
                write!(f, "idle interval {idle:?} is invalid: it must be at least the busy interval {busy:?}")
            }
            Invalid::Rate(rate) => {
                write!(f, "rate {rate} is invalid: it must be a finite number of events above 0")
            }
            Invalid::ZeroBurst => f.write_str("burst 0 is invalid: it must be at least 1 event"),
            Invalid::ZeroSample => {
                f.write_str("sample of 1 event in 0 is invalid: it must be 1 in at least 1")
            }
            Invalid::NulInName { name, index } => {
                write!(f, "thread name {name} is invalid: remove the NUL byte at index {index}")
            }
            Invalid::ZeroAttempts => f.write_str("max attempts 0 is invalid: it must be at least 1"),
            Invalid::ZeroBackoff => f.write_str("backoff 0 is invalid: it must be longer than zero"),
            Invalid::InvertedBackoff { base, max } => {
                write!(
                    f,
                    "longest backoff {max:?} is invalid: it must be at least the first backoff {base:?}"
                )
            }
            Invalid::Factor(factor) => {
                write!(f, "factor {factor} is invalid: it must be a finite number of at least 1")
            }
            Invalid::Jitter(jitter) => {
                write!(f, "jitter {jitter} is invalid: it must be a number from 0 to 1")
            }
            Invalid::ZeroThreshold => f.write_str("threshold 0 is invalid: it must be at least 1 failure"),
            Invalid::ZeroWorkers => f.write_str("workers 0 is invalid: it must be at least 1"),
            Invalid::TooManyWorkers { asked, most } => {
                write!(f, "workers {asked} is invalid: it must be at most {most}")
            }
            Invalid::OneHandler { workers } => write!(
                f,
                "one handler for {workers} workers is invalid: use spawn_each, spawn_each_handler, spawn_each_sink \
                 or spawn_sink"
            ),
            Invalid::ZeroSilence => f.write_str("silence 0 is invalid: it must be longer than zero"),
            Invalid::ZeroStore => {
                f.write_str("storing a token after 0 events is invalid: it must be after at least 1 event")
            }
            Invalid::Other(text) => f.write_str(text),
        }
    }
}

impl Error for ConfigError {}
