//! The combinators, as methods of every sink.

use super::Sink;
use crate::combinator::filter::Filter;
use crate::combinator::map::Map;
use crate::error::SpawnError;
use crate::queue::Queue;

/// The combinators, as methods of every sink.
///
/// # The order of calls
/// A chain is read from the destination outwards: `sink.map(f).filter(p)` is a filter in front of a map in front of the
/// sink. The *last* call sees the event *first*, as it does in go-events' constructors. The two orders differ:
///
/// ```
/// use buslane::{Channel, Sink, SinkExt};
///
/// // The filter sees what is published, the map what passed the filter.
/// let (channel, mut receiver) = Channel::bounded(8)?;
/// let sink = channel.map(|n: &u32| n * 10).filter(|n: &u32| *n > 1);
/// sink.write(1)?;
/// sink.write(2)?;
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [20]);
///
/// // The map sees what is published, the filter what the map made of it.
/// let (channel, mut receiver) = Channel::bounded(8)?;
/// let sink = channel.filter(|n: &u32| *n > 1).map(|n: &u32| n * 10);
/// sink.write(1)?;
/// sink.write(2)?;
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [10, 20]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What stands *in front of* a queue runs on the publishing thread, what stands behind it on the worker's.
pub trait SinkExt<E>: Sink<E> + Sized {
    /// Hands on only the events for which `keep` is true; the others count as `filtered`.
    ///
    /// The predicate runs on the publishing thread: keep it pure and short. If it panics, the event counts as dropped
    /// (`panicked`), and the sink goes on.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, SinkExt};
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// let bus = Bus::new();
    /// bus.add(channel.filter(|n: &u32| n % 2 == 0))?;
    /// let mut publisher = bus.publisher();
    /// for n in 1..=4 {
    ///     publisher.publish(n)?;
    /// }
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [2, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn filter<P>(self, keep: P) -> Filter<E, Self, P>
    where
        P: Fn(&E) -> bool + Send + Sync + 'static,
    {
        Filter::new(self, keep)
    }

    /// Hands on what `convert` makes of each event, and so adapts the sink to another type of event.
    ///
    /// The event is lent, so that it can come back when the sink does not accept what was made of it. If `convert`
    /// panics, the event counts as dropped (`panicked`), and the sink goes on.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, SinkExt};
    /// let (channel, mut receiver) = Channel::<String>::bounded(8)?;
    /// let bus = Bus::new();
    /// bus.add(channel.map(|n: &u32| n.to_string()))?;
    /// bus.publish(7)?;
    /// assert_eq!(receiver.recv()?, "7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn map<T, F>(self, convert: F) -> Map<T, E, Self, F>
    where
        F: Fn(&T) -> E + Send + Sync + 'static,
    {
        Map::new(self, convert)
    }

    /// Puts a [`Queue`] with room for `capacity` events per publisher in front of the sink, with the default settings.
    ///
    /// # Errors
    /// [`SpawnError`] when the capacity cannot be, or the system gives no thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, SinkExt, sink_fn};
    /// let bus = Bus::new();
    /// bus.add(sink_fn(|n: &u32| assert_eq!(*n, 7)).queue(1024)?)?;
    /// bus.publish(7)?;
    /// assert!(bus.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn queue(self, capacity: usize) -> Result<Queue<E>, SpawnError>
    where
        E: Send + 'static,
        Self: 'static,
    {
        Queue::builder().capacity(capacity).spawn_sink(self)
    }
}

impl<E, S: Sink<E>> SinkExt<E> for S {}
