//! What a sink counts, readable while it runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters of a [`JetStream`](crate::JetStream) at one time.
        ///
        /// # Examples
        /// ```
        /// use buslane_nats::JetStream;
        /// let sink = JetStream::<u32>::builder("nats://127.0.0.1:9").subject("numbers").json().connect_lazy()?;
        /// let counts = sink.stats().read();
        /// assert_eq!((counts.published, counts.acknowledged), (0, 0));
        /// # Ok::<(), buslane_nats::NatsConfigError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct JetStreamCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            fn read(&self) -> JetStreamCounts {
                // Relaxed: counters publish nothing.
                JetStreamCounts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Messages that were sent for the first time.
    published,
    /// Messages that were sent again, under the same id.
    retried,
    /// Messages that the server has acknowledged, each once: they are stored.
    acknowledged,
    /// Of the acknowledged ones, those that the server had stored before: an earlier attempt had
    /// reached it, and only its acknowledgement was missing.
    duplicates,
    /// Messages that were not answered in time on a connection that stayed open. Each attempt counts.
    timed_out,
    /// Messages that were not answered before their connection broke. Each attempt counts.
    lost,
    /// Answers by which the server did not store a message, and may do so later. Each attempt counts.
    refused,
    /// Events that are given up: invalid, refused for good, or out of attempts.
    rejected,
    /// Rejected events that the sink of the dead letters did not accept.
    letters_lost,
    /// Connections that were opened.
    connects,
    /// Connections that were replaced because answers did not come three times in a row.
    replaced,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: usize) {
    // Relaxed: counters publish nothing.
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

/// A handle to the counters of a [`JetStream`](crate::JetStream), which outlives the sink.
///
/// # Examples
/// ```
/// use buslane::SinkExt;
/// use buslane_nats::JetStream;
/// let sink = JetStream::<u32>::builder("nats://127.0.0.1:9").subject("numbers").json().connect_lazy()?;
/// let stats = sink.stats();
/// let queue = sink.queue(1024)?; // owns the sink now
/// assert_eq!(stats.read().rejected, 0);
/// # drop(queue);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct JetStreamStats(pub(crate) Arc<Counters>);

impl JetStreamStats {
    /// Returns the counters. Those that change meanwhile may not fit together.
    #[must_use]
    pub fn read(&self) -> JetStreamCounts {
        self.0.read()
    }
}

impl fmt::Debug for JetStreamStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JetStreamStats").field(&self.read()).finish()
    }
}
