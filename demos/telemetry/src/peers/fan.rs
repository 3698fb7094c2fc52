//! The publishing side of the peers.

use super::Publish;
use crate::pipeline::Told;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender};

/// The sending half of a peer's channel.
pub(crate) trait Offer<E>: Send + 'static {
    /// Sends an event if there is room; returns whether there was.
    fn offer(&mut self, event: E) -> bool;
}

impl<E: Send + 'static> Offer<E> for crossbeam_channel::Sender<E> {
    fn offer(&mut self, event: E) -> bool {
        self.try_send(event).is_ok()
    }
}

impl<E: Send + 'static> Offer<E> for crossfire::MTx<crossfire::mpsc::Array<E>> {
    fn offer(&mut self, event: E) -> bool {
        self.try_send(event).is_ok()
    }
}

impl<E: Send + 'static> Offer<E> for kanal::Sender<E> {
    fn offer(&mut self, event: E) -> bool {
        self.try_send(event).is_ok_and(|sent| sent)
    }
}

impl<E: Send + 'static> Offer<E> for SyncSender<E> {
    fn offer(&mut self, event: E) -> bool {
        self.try_send(event).is_ok()
    }
}

impl<E: Send + 'static> Offer<E> for rtrb::Producer<E> {
    fn offer(&mut self, event: E) -> bool {
        self.push(event).is_ok()
    }
}

/// What the publishers of a peer counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) published: u64,
    /// Events without room, for each listener.
    pub(crate) refused: [u64; 3],
    /// Events that are no alerts.
    pub(crate) filtered: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.refused.iter_mut().zip(other.refused).for_each(|(sum, count)| *sum += count);
        self.filtered += other.filtered;
    }
}

/// The filter upstream of the alerts.
pub(crate) type Wanted<E> = Arc<dyn Fn(&E) -> bool + Send + Sync>;

/// What the publishers of a peer share.
pub(crate) struct Share<E> {
    pub(crate) is_alert: Wanted<E>,
    pub(crate) reports: Sender<Counts>,
}

impl<E> Clone for Share<E> {
    fn clone(&self) -> Self {
        Self { is_alert: self.is_alert.clone(), reports: self.reports.clone() }
    }
}

/// A publisher with a sending half for each listener, the last of which gets only the alerts.
pub(crate) struct Fan<E, S> {
    senders: [S; 3],
    share: Share<E>,
    counts: Counts,
}

impl<E, S> Fan<E, S> {
    pub(crate) fn new(senders: [S; 3], share: Share<E>) -> Self {
        Self { senders, share, counts: Counts::default() }
    }
}

impl<E: Clone + Send + 'static, S: Offer<E>> Publish<E> for Fan<E, S> {
    fn publish(&mut self, event: E, told: &mut Told) {
        let [aggregate, file, alerts] = &mut self.senders;
        let is_alert = (self.share.is_alert)(&event);
        let has_room =
            [aggregate.offer(event.clone()), file.offer(event.clone()), !is_alert || alerts.offer(event)];
        self.counts.published += 1;
        self.counts.filtered += u64::from(!is_alert);
        let mut refused = 0;
        for (count, has_room) in self.counts.refused.iter_mut().zip(has_room) {
            *count += u64::from(!has_room);
            refused += u64::from(!has_room);
        }
        told.add(Told { published: 1, accepted: 3 - refused, refused, closed: 0 });
    }
}

impl<E, S> Drop for Fan<E, S> {
    fn drop(&mut self) {
        // A run that failed does not wait for its counters.
        let _ = self.share.reports.send(self.counts);
    }
}

/// A publisher that sends each event once, for all listeners, and is never refused.
pub(crate) struct One<E, F> {
    send: F,
    share: Share<E>,
    counts: Counts,
}

impl<E, F> One<E, F> {
    pub(crate) fn new(send: F, share: Share<E>) -> Self {
        Self { send, share, counts: Counts::default() }
    }
}

impl<E: Send + 'static, F: FnMut(E) + Send> Publish<E> for One<E, F> {
    fn publish(&mut self, event: E, told: &mut Told) {
        (self.send)(event);
        self.counts.published += 1;
        told.add(Told { published: 1, accepted: 3, refused: 0, closed: 0 });
    }
}

impl<E, F> Drop for One<E, F> {
    fn drop(&mut self) {
        let _ = self.share.reports.send(self.counts);
    }
}
