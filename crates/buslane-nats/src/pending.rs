//! The events that were delivered to this process and are not acknowledged, and how they are.
//!
//! # Protocol
//! - A1: an event is acknowledged only by [`Acknowledger::acknowledge`], which is called after the sink
//!   has handled it. Deliveries are numbered in the order in which they were forwarded, because the
//!   server may deliver an older sequence after a newer one.
//! - A2: what is outstanding or was acknowledged is a duplicate if it is delivered again. Everything
//!   else is an event, whatever its sequence: it may be one that was on its way when a connection
//!   broke, or that an earlier process did not finish.
//! - A3: an acknowledgement that could not be sent stays outstanding, marked, and is sent on the next
//!   connection.
//! - A4: half of the server's wait for an acknowledgement later, it is told that the work continues.

use crate::connect::{Watch, lock};
use crate::position::StreamPosition;
use crate::ranges::Ranges;
use crate::wait;
use async_nats::{Client, Subject};
use buslane::time::{Deadline, Pause};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How long acknowledgements may take to leave this process.
const SEND_LIMIT: Duration = Duration::from_secs(1);
/// The most ranges of acknowledged sequences that are remembered: one, unless there are holes.
const RANGES: usize = 1 << 16;

/// Acknowledges events of a [`JetStreamSource`](crate::JetStreamSource) to the server, once they are
/// handled.
///
/// [`JetStreamSource::monitor`](crate::JetStreamSource::monitor) uses one by itself. With a monitor of
/// your own, acknowledge in the function that stores the token.
///
/// # Examples
/// ```
/// use buslane::source::Monitor;
/// use buslane_nats::JetStreamSource;
/// let source = JetStreamSource::<String>::builder("nats://localhost", "WORDS", "reader").json().build()?;
/// let acknowledger = source.acknowledger();
/// let monitor = Monitor::builder(source).store_token(100, move |position| {
///     // store the position together with what the sink has made of the events, and then:
///     acknowledger.acknowledge(position);
///     Ok::<(), std::io::Error>(())
/// });
/// # drop(monitor);
/// # Ok::<(), buslane_nats::NatsConfigError>(())
/// ```
#[derive(Clone)]
pub struct Acknowledger(pub(crate) Arc<Pending>);

impl Acknowledger {
    /// Acknowledges every event that was read before the position.
    ///
    /// It waits for at most a second until the acknowledgements have left this process. If there is no
    /// connection, they are sent on the next one.
    pub fn acknowledge(&self, position: &StreamPosition) {
        self.0.acknowledge(position);
    }

    /// Returns the number of events that were read and are not acknowledged.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        lock(&self.0.state).outstanding.len()
    }
}

impl fmt::Debug for Acknowledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acknowledger").field("outstanding", &self.outstanding()).finish()
    }
}

pub(crate) struct Pending {
    handle: Handle,
    state: Mutex<State>,
}

struct State {
    /// The stream's identity.
    created: Option<i64>,
    /// The number of the last delivery.
    deliveries: u64,
    /// The highest sequence that was delivered.
    highest: u64,
    outstanding: BTreeMap<u64, Outstanding>,
    /// The deliveries of outstanding events, by sequence.
    by_sequence: HashMap<u64, u64>,
    /// What is acknowledged. A server that was killed may have forgotten it, and deliver it again.
    acknowledged: Ranges,
    line: Option<Line>,
}

struct Outstanding {
    sequence: u64,
    reply: Subject,
    /// Whether its acknowledgement is to be sent.
    is_handled: bool,
}

/// The connection on which acknowledgements are sent.
struct Line {
    client: Client,
    watch: Arc<Watch>,
    progress: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.progress.abort();
    }
}

/// What a delivered message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// An event, with the number of its delivery.
    New(u64),
    Duplicate,
}

impl Pending {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, state: Mutex::new(State::new()) }
    }

    /// Returns whether this process has read events of the stream before, and how many of them are
    /// outstanding.
    pub(crate) fn known(&self, created: i64) -> (bool, usize) {
        let state = lock(&self.state);
        if state.created == Some(created) {
            (state.deliveries > 0, state.outstanding.len())
        } else {
            (false, 0)
        }
    }

    /// Returns the lowest sequence that is outstanding.
    pub(crate) fn lowest(&self) -> Option<u64> {
        lock(&self.state).outstanding.values().map(|outstanding| outstanding.sequence).min()
    }

    /// Returns the number of deliveries until now.
    pub(crate) fn deliveries(&self) -> u64 {
        lock(&self.state).deliveries
    }

    /// Puts a new connection to use. Events of another stream are forgotten, and so are those of a stream
    /// that has lost its end: it gives their sequences to others.
    pub(crate) fn attach(
        self: &Arc<Self>,
        (created, last): (i64, u64),
        client: Client,
        watch: Arc<Watch>,
        ack_wait: Duration,
    ) {
        let progress = self.handle.spawn(keep_alive(Arc::downgrade(self), client.clone(), ack_wait / 2));
        let old = {
            let mut state = lock(&self.state);
            if state.created != Some(created) || state.highest > last {
                let (deliveries, line) = (state.deliveries, state.line.take());
                *state = State { created: Some(created), deliveries, line, ..State::new() };
            }
            state.line.replace(Line { client, watch, progress })
        };
        drop(old);
        self.send_handled();
    }

    /// Records a delivery. `is_handled` says that the event was handled before this process began.
    pub(crate) fn deliver(&self, sequence: u64, reply: Subject, is_handled: bool) -> Delivered {
        let mut state = lock(&self.state);
        if let Some(number) = state.by_sequence.get(&sequence).copied() {
            if let Some(outstanding) = state.outstanding.get_mut(&number) {
                outstanding.reply = reply;
            }
            return Delivered::Duplicate;
        }
        let was_acknowledged = state.acknowledged.contains(sequence);
        state.highest = state.highest.max(sequence);
        state.deliveries += 1;
        let number = state.deliveries;
        let is_handled = is_handled || was_acknowledged;
        state.outstanding.insert(number, Outstanding { sequence, reply, is_handled });
        state.by_sequence.insert(sequence, number);
        if is_handled { Delivered::Duplicate } else { Delivered::New(number) }
    }

    fn acknowledge(&self, position: &StreamPosition) {
        {
            let mut state = lock(&self.state);
            if state.created != Some(position.created) {
                return;
            }
            let handled = state.outstanding.range_mut(..=position.deliveries);
            handled.for_each(|(_, outstanding)| outstanding.is_handled = true);
        }
        self.send_handled();
    }

    /// Sends the acknowledgements of what is handled.
    pub(crate) fn send_handled(&self) {
        let (client, handled) = {
            let state = lock(&self.state);
            let Some(line) = state.line.as_ref().filter(|line| !line.watch.is_lost()) else { return };
            let handled = state.outstanding.iter().filter(|(_, outstanding)| outstanding.is_handled);
            let handled: Vec<_> = handled.map(|(number, item)| (*number, item.reply.clone())).collect();
            (line.client.clone(), handled)
        };
        if handled.is_empty() {
            return;
        }
        let replies: Vec<_> = handled.iter().map(|(_, reply)| reply.clone()).collect();
        let send = async {
            for reply in replies {
                client.publish(reply, Bytes::new()).await.map_err(drop)?;
            }
            client.flush().await.map_err(drop)
        };
        let sent = {
            let _context = self.handle.enter();
            wait::until(send, &Arc::new(Pause::new()), Deadline::after(SEND_LIMIT))
        };
        if sent != Some(Ok(())) {
            return;
        }
        let mut state = lock(&self.state);
        for (number, reply) in handled {
            // It may have been delivered again meanwhile: then the later delivery is acknowledged, too.
            if state.outstanding.get(&number).is_some_and(|outstanding| outstanding.reply == reply)
                && let Some(outstanding) = state.outstanding.remove(&number)
            {
                state.by_sequence.remove(&outstanding.sequence);
                state.acknowledged.insert(outstanding.sequence);
            }
        }
    }

    /// Ends what uses the connection.
    pub(crate) fn detach(&self) {
        let line = lock(&self.state).line.take();
        drop(line);
    }
}

impl State {
    fn new() -> Self {
        Self {
            created: None,
            deliveries: 0,
            highest: 0,
            outstanding: BTreeMap::new(),
            by_sequence: HashMap::new(),
            acknowledged: Ranges::new(RANGES),
            line: None,
        }
    }
}

/// Tells the server again and again that the outstanding events are being handled.
async fn keep_alive(pending: Weak<Pending>, client: Client, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(replies) = pending.upgrade().map(|pending| {
            let state = lock(&pending.state);
            let working = state.outstanding.values().filter(|outstanding| !outstanding.is_handled);
            working.map(|outstanding| outstanding.reply.clone()).collect::<Vec<_>>()
        }) else {
            return;
        };
        for reply in replies {
            if client.publish(reply, Bytes::from_static(b"+WPI")).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Delivered, Pending};
    use crate::connect::lock;
    use crate::position::StreamPosition;
    use tokio::runtime::{Builder, Runtime};

    fn pending() -> (Runtime, Pending) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let pending = Pending::new(runtime.handle().clone());
        lock(&pending.state).created = Some(1);
        (runtime, pending)
    }

    fn handled(pending: &Pending) -> Vec<u64> {
        let state = lock(&pending.state);
        let handled = state.outstanding.values().filter(|outstanding| outstanding.is_handled);
        handled.map(|outstanding| outstanding.sequence).collect()
    }

    #[test]
    fn delivery_again_is_a_duplicate() {
        let (_runtime, pending) = pending();
        assert_eq!(pending.deliver(5, "a".into(), false), Delivered::New(1));
        assert_eq!(pending.deliver(5, "b".into(), false), Delivered::Duplicate);
        assert_eq!(lock(&pending.state).outstanding[&1].reply.as_str(), "b");
        assert_eq!(pending.known(1), (true, 1));
        assert_eq!(pending.known(2), (false, 0));
    }

    #[test]
    fn older_sequence_that_was_not_read_is_an_event() {
        let (_runtime, pending) = pending();
        assert_eq!(pending.deliver(9, "a".into(), false), Delivered::New(1));
        assert_eq!(pending.deliver(4, "b".into(), false), Delivered::New(2));
    }

    #[test]
    fn acknowledgement_follows_the_order_of_deliveries() {
        let (_runtime, pending) = pending();
        for sequence in [9, 4, 10] {
            pending.deliver(sequence, "r".into(), false);
        }
        // After 9, and before 4, which was delivered later.
        pending.acknowledge(&StreamPosition { created: 1, sequence: 9, deliveries: 1 });
        assert_eq!(handled(&pending), [9]);
        pending.acknowledge(&StreamPosition { created: 2, sequence: 99, deliveries: 99 });
        assert_eq!(handled(&pending), [9]);
        pending.acknowledge(&StreamPosition { created: 1, sequence: 10, deliveries: 3 });
        assert_eq!(handled(&pending), [9, 4, 10]);
    }

    #[test]
    fn acknowledged_event_is_acknowledged_again() {
        let (_runtime, pending) = pending();
        lock(&pending.state).acknowledged.insert(3);
        assert_eq!(pending.deliver(3, "r".into(), false), Delivered::Duplicate);
        assert_eq!(handled(&pending), [3]);
        assert_eq!(pending.deliver(1, "r".into(), false), Delivered::New(2));
    }
}
