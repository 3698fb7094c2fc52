//! A journal as a sink, and the lane of one publisher of a bus into it.

use super::core::JournalCore;
use super::gate::GateWaiter;
use super::publish::publish;
use super::{Journal, JournalHandle};
use crate::error::{OutOfMemory, WriteError};
use crate::ring::blocks::Bias;
use crate::sink::biased::{BiasedLane, BiasedStage, Overwritten};
use crate::sink::lane::{Internal, Lane, LaneSealer, Seal};
use crate::sink::{Sink, SinkKey};
use crate::stats::{CloseReport, Disposition, SinkState};
use crate::time::Deadline;
use crate::wait::list::task::TaskWait;
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
        let (shared, waiter) = (shared.clone(), Arc::new(GateWaiter::new()));
        let end = LaneEnd { waiter: waiter.clone(), shared: shared.clone() };
        let (bias, sleepers) = (Bias::new(writer), shared.sleepers.clone());
        let lane = BiasedLane::new(bias, sleepers, JournalStage { shared, waiter });
        Ok(Some(Lane::biased(lane, LaneSealer::new(Arc::new(end)))))
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

/// What the lane of one bus publisher does when it does not hold the bias. It does not keep the
/// journal open.
struct JournalStage<E: Send + Sync + 'static> {
    shared: Arc<JournalCore<E>>,
    waiter: Arc<GateWaiter>,
}

impl<E: Send + Sync + 'static> BiasedStage<E> for JournalStage<E> {
    fn full(&self) -> Option<TaskWait> {
        JournalCore::full(&self.shared, Some(&self.waiter))
    }

    fn put(&mut self, bias: &mut Bias<E>, event: E) -> Result<Overwritten<E>, E> {
        let mut claiming = bias.claiming();
        let Some(mut claim) = claiming.claim() else { return Err(event) };
        let old = claim.put_within(event)?;
        let stale = claim.take_stale();
        claiming.release(claim);
        self.shared.published();
        Ok((old, stale))
    }

    fn offer(
        &mut self,
        bias: &mut Bias<E>,
        event: E,
        deadline: Deadline,
    ) -> Result<Disposition, WriteError<E>> {
        publish(bias.claiming(), &self.shared, event, deadline, Some(&self.waiter))
            .map(|_| Disposition::Delivered)
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
