//! What the handles of a director share: the journal, the members, and the steps by which they come
//! and go.

use super::common::Common;
use super::cursor::Cursor;
use super::driver::Driver;
use super::envelope::Envelope;
use super::error::JoinError;
use super::key::{Epoch, PacketKind};
use super::packet::PacketCore;
use super::record::{Presence, Record, RecordState};
use super::registry::Registry;
use super::report::{DirectorReport, DirectorSnapshot, LeaveReport, MemberReport, MemberSnapshot};
use super::settings::Settings;
use crate::error::SubscribeError;
use crate::journal::{Entry, Journal, OpenGate, Sequence, Start, Subscriber};
use crate::stats::Finish;
use crate::sync::{Mutex, Ordering, lock};
use crate::time::Deadline;
use crate::wait::Sleeper;
use crate::wait::context::must_not_wait;
use std::ops::Range;
use std::sync::Arc;

/// The positions that a report counts before it looks at its deadline.
const COUNT_AT_ONCE: u64 = 1024;

pub(super) struct DirectorCore<E: Clone + Send + Sync + 'static> {
    pub(super) journal: Journal<Envelope<E>>,
    pub(super) common: Arc<Common<E>>,
    pub(super) registry: Arc<Registry<E>>,
    pub(super) defaults: Settings<E>,
    /// The position of the next root event. Root events enter all inboxes under this lock, so all
    /// members get them in one order.
    pub(super) root: Mutex<u64>,
}

/// Whether a session has a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Worker,
    Outbox,
}

/// A session that has just begun.
pub(super) struct Session<E: Clone + Send + Sync + 'static> {
    pub(super) record: Arc<Record<E>>,
    pub(super) epoch: Epoch,
    pub(super) driver: Driver<E>,
}

impl<E: Clone + Send + Sync + 'static> DirectorCore<E> {
    fn subscribe(&self, start: Start, is_lossless: bool) -> Result<Subscriber<Envelope<E>>, SubscribeError> {
        let subscription = self.common.feed.subscription().start(start);
        if is_lossless { subscription.gating().subscribe() } else { subscription.subscribe() }
    }

    /// Makes a member: its cursor is placed, and then it enters the list.
    pub(super) fn join(
        &self,
        name: Arc<str>,
        settings: Settings<E>,
        reader: Reader,
    ) -> Result<Session<E>, JoinError> {
        settings.check()?;
        if name.is_empty() {
            return Err(JoinError::EmptyName);
        }
        let refused = |is_closed: bool, is_known: bool| {
            if is_closed {
                Some(JoinError::Closed)
            } else {
                is_known.then(|| JoinError::AlreadyMember { name: name.to_string() })
            }
        };
        let is_refused =
            self.registry.with(|members| (members.is_closed, members.records.contains_key(&name)));
        if let Some(error) = refused(is_refused.0, is_refused.1) {
            return Err(error);
        }
        let subscriber = self.subscribe(Start::Now, settings.lossless)?;
        let begin = subscriber.next_sequence().get();
        // Its destructor may be user code, which must not run under the lock.
        let mut settings = Some(settings);
        let entered = self.registry.with(|members| {
            if let Some(error) = refused(members.is_closed, members.records.contains_key(&name)) {
                return Err(error);
            }
            let (number, epoch) = (members.number(), members.epoch());
            let settings = settings.take().unwrap_or_default();
            let record = Arc::new(Record::new(number, name.clone(), settings, self.common.clone(), epoch));
            {
                let mut state = lock(&record.state);
                (state.begin, state.next) = (begin, begin);
                state.gate = state.settings.lossless.then(|| subscriber.gate());
                // No reader has slept there.
                let _ = begin_session(&record, &mut state, epoch, reader);
                push_state_packet(&record, &mut state);
            }
            members.records.insert(name.clone(), record.clone());
            Ok((record, epoch))
        });
        let (record, epoch) = entered?;
        let cursor = Cursor::new(subscriber, record.number, epoch.get());
        let driver =
            Driver::new(record.clone(), epoch, cursor, self.registry.clone(), reader == Reader::Outbox);
        Ok(Session { record, epoch, driver })
    }

    /// Begins a new session of a member, in place of the present one if there is one.
    pub(super) fn rejoin(
        &self,
        name: &str,
        settings: Option<Settings<E>>,
        reader: Reader,
    ) -> Result<Session<E>, JoinError> {
        if let Some(settings) = &settings {
            settings.check()?;
        }
        // The destructor of the old settings may be user code, which must not run under the locks.
        let mut settings = settings;
        // S2: from here on no other session commits. The member is changed under the lock of the
        // list, so a close either finds this session or refuses it.
        let begun = self.registry.with(|members| {
            if members.is_closed {
                return Err(JoinError::Closed);
            }
            let unknown = || JoinError::UnknownMember { name: name.to_owned() };
            let record = members.records.get(name).cloned().ok_or_else(unknown)?;
            let epoch = members.epoch();
            let mut state = lock(&record.state);
            let gate = state.end_session(Presence::Detached);
            let old =
                settings.take().map(|settings| std::mem::replace(&mut state.settings, Arc::new(settings)));
            let sleeper = begin_session(&record, &mut state, epoch, reader);
            let (next, is_lossless) = (state.next, state.settings.lossless);
            drop(state);
            Ok((record, epoch, next, is_lossless, (old, gate, sleeper)))
        });
        let (record, epoch, next, is_lossless, old) = begun?;
        drop(old.0);
        open(old.1);
        if let Some(sleeper) = old.2 {
            sleeper.wake();
        }
        let subscriber = match self.subscribe(Start::At(Sequence::new(next)), is_lossless) {
            Ok(subscriber) => subscriber,
            Err(error) => {
                self.without_worker(&record, epoch);
                self.detach(&record, epoch);
                return Err(error.into());
            }
        };
        let reaches_back = self.common.feed.oldest().get() <= next;
        let stale = {
            let mut state = lock(&record.state);
            if !state.is_session(epoch) {
                Some(subscriber.gate())
            } else {
                state.gate = is_lossless.then(|| subscriber.gate());
                if !reaches_back && state.state.is_empty() {
                    // The history does not reach back: the state has to be pulled again.
                    push_state_packet(&record, &mut state);
                }
                None
            }
        };
        open(stale);
        let cursor = Cursor::new(subscriber, record.number, epoch.get());
        let driver =
            Driver::new(record.clone(), epoch, cursor, self.registry.clone(), reader == Reader::Outbox);
        Ok(Session { record, epoch, driver })
    }

    /// The worker of a session could not be started.
    pub(super) fn without_worker(&self, record: &Record<E>, epoch: Epoch) {
        lock(&record.state).workers.remove(&epoch);
        record.common.ended.notify();
    }

    /// Undoes a join.
    pub(super) fn forget(&self, record: &Arc<Record<E>>, epoch: Epoch) {
        // It has never been a member for its user, and does not count as one that has left.
        if self.depart(record, epoch, Deadline::NOW, false).is_some() {
            record.discard_all();
        }
    }

    /// Ends the session of this epoch. The member stays in the list.
    pub(super) fn detach(&self, record: &Arc<Record<E>>, epoch: Epoch) {
        detach(record, epoch);
    }

    /// Takes a member out of the list, waits for the end of its worker, and reports.
    pub(super) fn leave(&self, record: &Arc<Record<E>>, epoch: Epoch, deadline: Deadline) -> LeaveReport {
        let finish = self.depart(record, epoch, deadline, true);
        let member = self.report(record, deadline);
        if finish.is_some() {
            record.discard_all();
        }
        LeaveReport { finish: finish.unwrap_or(Finish::Done), was_member: finish.is_some(), member }
    }

    /// Leaves without a report, for which the history may have to be read.
    pub(super) fn leave_silently(&self, record: &Arc<Record<E>>, epoch: Epoch, deadline: Deadline) {
        if self.depart(record, epoch, deadline, true).is_some() {
            record.discard_all();
        }
    }

    /// Takes a member out of the list, and waits for the end of its worker. Returns `None` if this
    /// is not its present session. `counts` says whether it counts as a member that has left.
    fn depart(
        &self,
        record: &Arc<Record<E>>,
        epoch: Epoch,
        deadline: Deadline,
        counts: bool,
    ) -> Option<Finish> {
        let left = self.registry.with(|members| {
            let mut state = lock(&record.state);
            if state.epoch != epoch || state.presence == Presence::Left {
                return None;
            }
            let is_listed =
                members.records.get(&record.name).is_some_and(|listed| Arc::ptr_eq(listed, record));
            if is_listed {
                members.records.remove(&record.name);
                members.left += u64::from(counts);
            }
            let gate = state.end_session(Presence::Left);
            // S3: under the lock.
            state.end = self.common.feed.next().get();
            record.set_current(None);
            Some((gate, self.common.probes.begun()))
        });
        let (gate, probes) = left?;
        open(gate);
        self.common.timers.set(epoch, &record.bell, None);
        record.bell.ring();
        self.common.probes.gone(record.number, probes);
        Some(await_workers(record, deadline))
    }

    /// Makes the member of this name leave, whatever its session is.
    pub(super) fn remove(&self, name: &str, deadline: Deadline) -> Option<LeaveReport> {
        loop {
            let record = self.registry.find(name)?;
            let epoch = lock(&record.state).epoch;
            let report = self.leave(&record, epoch, deadline);
            // If not, a rejoin or a leave was faster.
            if report.was_member {
                return Some(report);
            }
        }
    }

    /// Ends the waits for a retry of a member.
    pub(super) fn ready(&self, record: &Record<E>) {
        lock(&record.state).all_flights().into_iter().for_each(|flights| flights.hurry());
        record.bell.ring();
    }

    /// Closes the stream, and waits until each worker has drained it.
    pub(super) fn close(&self, deadline: Deadline) -> DirectorReport {
        self.close_reporting(deadline, deadline)
    }

    /// Closes without a report: for a drop.
    pub(super) fn close_silently(&self, deadline: Deadline) {
        let _ = self.close_reporting(deadline, Deadline::NOW);
    }

    /// Closes until one deadline, and counts what is left until another.
    fn close_reporting(&self, deadline: Deadline, counting: Deadline) -> DirectorReport {
        self.registry.with(|members| members.is_closed = true);
        self.journal.close();
        let records = self.registry.all();
        records.iter().for_each(|record| record.bell.ring());
        let mut finish = Finish::Done;
        let mut members = Vec::with_capacity(records.len());
        for record in &records {
            let mut one = await_workers(record, deadline);
            if one == Finish::TimedOut {
                let is_aborted = {
                    let mut state = lock(&record.state);
                    // The worker that hangs may be of an older session. Its successor is healthy.
                    state.is_aborted |= state.workers.contains_key(&state.epoch);
                    state.is_aborted
                };
                record.bell.ring();
                if is_aborted {
                    self.common.probes.gone(record.number, self.common.probes.begun());
                }
            }
            let report = self.report(record, counting);
            if one == Finish::Pending && report.undelivered + report.member.root_pending == 0 {
                // The user of the outbox has drained it, and has not asked again.
                one = Finish::Done;
            }
            finish = worse(finish, one);
            members.push(report);
        }
        DirectorReport { finish, members }
    }

    pub(super) fn snapshot(&self) -> DirectorSnapshot {
        let tail = self.common.feed.next();
        let (left, is_closed) = self.registry.with(|members| (members.left, members.is_closed));
        DirectorSnapshot {
            published: tail.get(),
            oldest: self.common.feed.oldest(),
            is_closed,
            left,
            // Relaxed: the counts publish nothing.
            orphans: self.common.orphans.load(Ordering::Relaxed),
            letters_refused: self.common.letters_refused.load(Ordering::Relaxed),
            members: self.registry.all().iter().map(|record| self.member(record)).collect(),
        }
    }

    pub(super) fn member(&self, record: &Record<E>) -> MemberSnapshot {
        let now = self.common.timers.now();
        let state = lock(&record.state);
        // Loaded under the lock, so that it is not before the member's own position.
        let tail = if state.presence == Presence::Left { state.end } else { self.common.feed.next().get() };
        MemberSnapshot::of(&record.name, &state, tail, now)
    }

    /// Returns what a member has got and what it has not, counted until the deadline.
    fn report(&self, record: &Record<E>, deadline: Deadline) -> MemberReport {
        let snapshot = self.member(record);
        let (from, to) = (snapshot.next.get(), snapshot.next.get() + snapshot.unread);
        let unread = self.count_own(record, snapshot.epoch, from..to, deadline);
        MemberReport { undelivered: snapshot.in_flight + unread, member: snapshot }
    }

    /// Counts the events for a member in a part of the stream. Positions that were overwritten count
    /// as its own, and so do those that are left when the deadline has passed.
    fn count_own(&self, record: &Record<E>, epoch: Epoch, part: Range<u64>, deadline: Deadline) -> u64 {
        if part.is_empty() {
            return 0;
        }
        let (from, to) = (part.start, part.end);
        let Ok(mut reader) = self.subscribe(Start::At(Sequence::new(from)), false) else { return to - from };
        let mut own = 0;
        for read in 1_u64.. {
            let left = to.saturating_sub(reader.next_sequence().get());
            if left == 0 {
                break;
            }
            // Some are always read, so that a short rest is counted exactly.
            if read.is_multiple_of(COUNT_AT_ONCE) && deadline.remaining().is_some_and(|left| left.is_zero()) {
                return own + left;
            }
            match reader.try_recv_with(|envelope| envelope.is_for(record.number, epoch.get())) {
                Ok(Entry::Event(_, is_own)) => own += u64::from(is_own),
                Ok(Entry::Lagged(count)) => own += count,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        own
    }
}

/// A session of this epoch begins, under the lock of the record. Returns the sleeping reader of the
/// session before it.
#[must_use = "the old reader sleeps until it is woken"]
fn begin_session<E: Clone + Send + Sync + 'static>(
    record: &Record<E>,
    state: &mut RecordState<E>,
    epoch: Epoch,
    reader: Reader,
) -> Option<Sleeper> {
    state.presence = Presence::Attached;
    state.epoch = epoch;
    state.root_row = 0;
    if reader == Reader::Worker {
        state.workers.insert(epoch, None);
    }
    record.set_current(Some(epoch));
    record.bell.begin(epoch)
}

/// The member has to pull the state before anything else.
fn push_state_packet<E: Clone + Send + Sync + 'static>(record: &Record<E>, state: &mut RecordState<E>) {
    let core = PacketCore {
        member: record.name.clone(),
        kind: PacketKind::State,
        id: state.packet_id(),
        lagged: 0,
        events: Vec::new(),
        state_at: Some(state.acked_through()),
        probes: Vec::new(),
    };
    state.state.push(Arc::new(core));
}

/// Ends the session of this epoch, if it is the present one.
pub(super) fn detach<E: Clone + Send + Sync + 'static>(record: &Record<E>, epoch: Epoch) {
    let (gate, probes) = {
        let mut state = lock(&record.state);
        if state.epoch != epoch || state.presence != Presence::Attached {
            return;
        }
        record.set_current(None);
        (state.end_session(Presence::Detached), record.common.probes.begun())
    };
    open(gate);
    record.common.timers.set(epoch, &record.bell, None);
    record.bell.ring();
    // Not those that have begun since: the member may have a later session by now.
    record.common.probes.gone(record.number, probes);
}

/// Releases the publishers that wait for a session that is over.
fn open<E: Send + Sync + 'static>(gate: Option<OpenGate<E>>) {
    if let Some(gate) = gate {
        gate.open();
    }
}

fn await_workers<E: Clone + Send + Sync + 'static>(record: &Record<E>, deadline: Deadline) -> Finish {
    let is_done = || lock(&record.state).workers.is_empty().then_some(());
    if is_done().is_none() {
        if must_not_wait() {
            return Finish::Pending;
        }
        if record.common.ended.wait_until(deadline, is_done).is_none() {
            return Finish::TimedOut;
        }
    }
    let state = lock(&record.state);
    // An outbox is drained by its user, at any time.
    let is_left = state.presence == Presence::Attached && !state.is_aborted;
    if is_left { Finish::Pending } else { Finish::Done }
}

fn worse(one: Finish, other: Finish) -> Finish {
    match (one, other) {
        (Finish::TimedOut, _) | (_, Finish::TimedOut) => Finish::TimedOut,
        (Finish::Pending, _) | (_, Finish::Pending) => Finish::Pending,
        _ => Finish::Done,
    }
}
