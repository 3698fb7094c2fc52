//! A journal as a sink, and the lane of one publisher of a bus into it.

use super::core::JournalCore;
use super::gate::GateWaiter;
use super::publish::publish;
use super::{Journal, JournalHandle};
use crate::error::{OutOfMemory, WriteError};
use crate::ring::blocks::SharedWriter;
use crate::sink::lane::{InnerLane, Internal, Lane, LaneSealer, LaneWrite, Seal};
use crate::sink::{Sink, SinkKey};
use crate::stats::{CloseReport, Disposition, SinkState};
use crate::time::Deadline;
use std::sync::Arc;

impl<E: Send + Sync + 'static> Sink<E> for Journal<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.publish(event).map(|_| ())
    }

    // A flush has nothing to do: every accepted event is in the journal, and subscribers read at
    // their own pace.
    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.0.close();
        CloseReport::done()
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        let JournalHandle { writer, shared } = &*self.0;
        let (writer, shared) = (writer.clone(), shared.clone());
        Ok(Some(Lane::staged(JournalLane { writer, shared, waiter: Arc::new(GateWaiter::new()) })))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }

    // Ends the waits of publishers, the only threads that wait on a journal sink.
    fn abort_now(&self) {
        self.0.close();
    }

    fn reports_closed(&self) -> bool {
        self.0.shared.source.is_closed()
    }

    fn describe(&self, state: &mut SinkState) {
        self.0.shared.describe(state);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.0))
    }
}

/// The lane of one bus publisher into a journal. It does not keep the journal open.
struct JournalLane<E: Send + Sync + 'static> {
    writer: SharedWriter<E>,
    shared: Arc<JournalCore<E>>,
    waiter: Arc<GateWaiter>,
}

impl<E: Send + Sync + 'static> LaneWrite<E> for JournalLane<E> {
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        publish(&self.writer, &self.shared, event, deadline, Some(&self.waiter))
            .map(|_| Disposition::Delivered)
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn sealer(&self) -> Option<LaneSealer> {
        Some(LaneSealer::new(Arc::new(LaneEnd { waiter: self.waiter.clone(), shared: self.shared.clone() })))
    }
}

/// Ends the wait of one bus publisher at a journal's gate. The journal and other publishers are not
/// affected.
struct LaneEnd<E: Send + Sync + 'static> {
    waiter: Arc<GateWaiter>,
    shared: Arc<JournalCore<E>>,
}

impl<E: Send + Sync + 'static> Seal for LaneEnd<E> {
    fn mark(&self) {
        self.waiter.cancel();
    }

    fn fix(&self) {
        // Nothing to fix: the claim alone decides whether an event is in the journal.
    }

    fn wake_all(&self) {
        self.shared.gates.wake_cancelled(&self.waiter);
    }
}
