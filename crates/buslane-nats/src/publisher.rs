//! The sink of batches: it sends each message until the server has acknowledged it.
//!
//! # Protocol
//! - P1: the messages of a batch are sent in their order, at most a window of them unanswered.
//! - P2: only a PubAck ends a message well. What is not answered in time, or before the connection
//!   breaks, is sent again under the same id; the server removes what it has twice.
//! - P3: if order is strict, each message but the first of an attempt names the id of the message
//!   before it, and the server stores it only right after that one. All messages before the first
//!   one of an attempt are acknowledged, so the first needs no condition. Where a message was not
//!   stored, none after it is, and the next attempt begins there.
//! - P4: a write that runs out of time returns what is not acknowledged, with the ids, and the batch
//!   upstream offers the same again.

use crate::acks::{Acks, Outcome, reply_token};
use crate::answer::Answer;
use crate::connect::lock;
use crate::counters::{Counters, add};
use crate::error::PublishError;
use crate::letters::{Letters, bury};
use crate::link::{Link, Open};
use crate::message::{Message, Prepared};
use crate::wait;
use async_nats::header::NATS_EXPECTED_LAST_MESSAGE_ID;
use buslane::retry::{Attempt, AttemptError, Next, RetryPolicy};
use buslane::sink::SinkKey;
use buslane::stats::CloseReport;
use buslane::time::{Deadline, Pause};
use buslane::{Sink, WriteError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The number of attempts with time-outs in a row, after which the connection is replaced.
const STRIKES: u32 = 3;
/// The most messages that are sent before the answers are looked at.
const CHUNK: usize = 256;

/// The settings of a publisher.
pub(crate) struct PublishSettings {
    pub(crate) window: usize,
    pub(crate) ack_timeout: Duration,
    pub(crate) is_strict: bool,
    pub(crate) policy: Box<dyn RetryPolicy<()>>,
}

/// The sink of batches.
pub(crate) struct Publisher<E> {
    link: Arc<Link>,
    acks: Arc<Acks>,
    pause: Arc<Pause>,
    counters: Arc<Counters>,
    settings: PublishSettings,
    letters: Letters<E>,
    closed: AtomicBool,
    /// Attempts with time-outs in a row.
    strikes: Mutex<u32>,
}

/// The batch of one write.
struct Work<E> {
    /// What is neither acknowledged nor given up, in order.
    left: Vec<Prepared<E>>,
    /// What is given up.
    refused: Vec<Prepared<E>>,
}

/// How an attempt ended.
enum Attempted {
    /// Every message is acknowledged or given up, or some are and the rest follows at once.
    Good,
    Failed(PublishError),
    /// The deadline has passed, or the sink was aborted.
    Stopped,
}

/// Why the wait for answers ended.
enum Ended {
    Answered,
    Lost,
    TimedOut,
    Stopped,
}

impl<E> Publisher<E> {
    pub(crate) fn new(
        link: Arc<Link>,
        acks: Arc<Acks>,
        pause: Arc<Pause>,
        counters: Arc<Counters>,
        settings: PublishSettings,
        letters: Letters<E>,
    ) -> Self {
        let (closed, strikes) = (AtomicBool::new(false), Mutex::default());
        Self { link, acks, pause, counters, settings, letters, closed, strikes }
    }

    /// Sends the messages that are left, and waits for their answers.
    fn attempt(&self, work: &mut Work<E>, deadline: Deadline) -> Attempted {
        let patience = deadline.min(Deadline::after(self.settings.ack_timeout));
        let Some(open) = self.link.wait_open(patience) else {
            if self.is_over(deadline) {
                return Attempted::Stopped;
            }
            return Attempted::Failed(PublishError::Disconnected(self.link.error()));
        };
        let flight = self.acks.begin(work.left.len());
        let ended = self.fly(&open, flight, &mut work.left, deadline);
        self.settle(work, &ended, &open)
    }

    /// Sends within the window until every message is answered.
    fn fly(&self, open: &Open, flight: u64, left: &mut [Prepared<E>], deadline: Deadline) -> Ended {
        let PublishSettings { window, ack_timeout, is_strict, .. } = self.settings;
        let (mut next, mut last) = (0, left.len());
        loop {
            let before = self.acks.progress(0);
            let goal = match before.open {
                _ if next == last => 0,
                // A full window drains by half: a wake for each answer would cost more than it gains.
                open if open >= window => window / 2,
                _ => window - 1,
            };
            let patience = deadline.min(Deadline::after(ack_timeout));
            let ready = self.pause.wait(patience, || {
                let now = self.acks.progress(goal);
                now.open <= goal || open.watch.is_lost() || (is_strict && now.is_broken && next < last)
            });
            let now = self.acks.progress(goal);
            if open.watch.is_lost() {
                return Ended::Lost;
            }
            if is_strict && now.is_broken {
                // Nothing after the message that was not stored will be stored.
                last = next;
            }
            if !ready {
                if self.is_over(deadline) {
                    return Ended::Stopped;
                }
                if now.answered == before.answered {
                    return Ended::TimedOut;
                }
                continue;
            }
            if next == last {
                if now.open == 0 {
                    return Ended::Answered;
                }
                continue;
            }
            let room = window.saturating_sub(now.open).min(CHUNK);
            let end = last.min(next + room);
            match wait::until(self.send(open, flight, left, next..end), &self.pause, patience) {
                Some(true) => next = end,
                Some(false) => return Ended::Lost,
                None if self.is_over(deadline) => return Ended::Stopped,
                None => return Ended::TimedOut,
            }
        }
    }

    /// Sends some messages. Returns `false` if the client has ended.
    async fn send(
        &self,
        open: &Open,
        flight: u64,
        left: &mut [Prepared<E>],
        range: std::ops::Range<usize>,
    ) -> bool {
        for index in range {
            let Message { subject, mut headers, payload, .. } = left[index].message.clone();
            if self.settings.is_strict && index > 0 {
                headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, left[index - 1].message.id.as_str());
            }
            let reply = format!("{}.{}", open.inbox, reply_token(flight, index));
            self.acks.sent(index);
            if open.watch.forbids(&subject) {
                self.acks.answer(flight, index, Answer::Failed(PublishError::forbidden()));
                continue;
            }
            let is_again = std::mem::replace(&mut left[index].is_sent, true);
            add(if is_again { &self.counters.retried } else { &self.counters.published }, 1);
            let Err(error) =
                open.client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            else {
                continue;
            };
            let subject = &left[index].message.subject;
            let Some(error) = PublishError::of_client(error.kind(), subject) else { return false };
            self.acks.answer(flight, index, Answer::Failed(error));
        }
        true
    }

    /// Takes what is acknowledged or given up out of the work.
    fn settle(&self, work: &mut Work<E>, ended: &Ended, open: &Open) -> Attempted {
        let outcomes = self.acks.end();
        let before = work.left.len();
        let mut unanswered = 0;
        let mut reason = None;
        let mut left = Vec::new();
        for (prepared, outcome) in std::mem::take(&mut work.left).into_iter().zip(outcomes) {
            match outcome {
                Outcome::Stored { duplicate } => {
                    add(&self.counters.acknowledged, 1);
                    add(&self.counters.duplicates, usize::from(duplicate));
                    continue;
                }
                Outcome::Failed(error) if !error.is_retryable() => {
                    self.give_up(work, prepared, error);
                    continue;
                }
                // The reason is the answer to a message before it.
                Outcome::Failed(PublishError::OutOfOrder) => {}
                Outcome::Failed(error) => {
                    add(&self.counters.refused, 1);
                    reason.get_or_insert(error);
                }
                // The server answers such a message with an error of the connection.
                Outcome::Sent if open.watch.forbids(&prepared.message.subject) => {
                    self.give_up(work, prepared, PublishError::forbidden());
                    continue;
                }
                Outcome::Sent => unanswered += 1,
                Outcome::Unsent => {}
            }
            left.push(prepared);
        }
        work.left = left;
        match ended {
            Ended::Lost => add(&self.counters.lost, unanswered),
            Ended::TimedOut => add(&self.counters.timed_out, unanswered),
            Ended::Answered | Ended::Stopped => {}
        }
        match ended {
            // It was too short to tell.
            Ended::Stopped => {}
            Ended::TimedOut => self.strike(open),
            Ended::Answered | Ended::Lost => *lock(&self.strikes) = 0,
        }
        let has_progress = work.left.len() < before;
        match (ended, reason) {
            (Ended::Stopped, _) => Attempted::Stopped,
            _ if work.left.is_empty() => Attempted::Good,
            (_, Some(error)) => Attempted::Failed(error),
            (Ended::Lost, None) => Attempted::Failed(PublishError::Lost),
            (Ended::TimedOut, None) => Attempted::Failed(PublishError::Timeout),
            // Another publisher wrote in between, or a message before was given up.
            (Ended::Answered, None) if has_progress => Attempted::Good,
            (Ended::Answered, None) => Attempted::Failed(PublishError::OutOfOrder),
        }
    }

    /// Counts time-outs in a row, and replaces a connection on which answers do not come.
    fn strike(&self, open: &Open) {
        {
            let mut strikes = lock(&self.strikes);
            *strikes = (*strikes + 1) % STRIKES;
            if *strikes > 0 {
                return;
            }
        }
        add(&self.counters.replaced, 1);
        open.watch.lose();
    }

    fn give_up(&self, work: &mut Work<E>, mut prepared: Prepared<E>, error: PublishError) {
        bury(&mut prepared, &error, &self.letters, &self.counters);
        prepared.refused = Some(error);
        work.refused.push(prepared);
    }

    /// Returns whether no wait is allowed any more.
    fn is_over(&self, deadline: Deadline) -> bool {
        deadline.has_passed() || self.pause.is_interrupted()
    }

    fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close_by`.
        self.closed.load(Ordering::Acquire)
    }

    /// Waits out a pause between two attempts.
    fn rest(&self, wait: Duration, deadline: Deadline) {
        self.pause.wait(deadline.min(Deadline::after(wait)), || false);
    }
}

impl<E> Work<E> {
    /// Returns everything that is not acknowledged.
    fn into_rest(self) -> Vec<Prepared<E>> {
        let mut rest = self.refused;
        rest.extend(self.left);
        rest
    }

    fn finish(self) -> Result<(), WriteError<Vec<Prepared<E>>>> {
        let error = self.refused.iter().find_map(|prepared| prepared.refused.clone());
        match error {
            None => Ok(()),
            Some(error) => Err(WriteError::Failed { event: self.refused, source: Box::new(error) }),
        }
    }
}

impl<E: Send + 'static> Sink<Vec<Prepared<E>>> for Publisher<E> {
    fn write(&self, batch: Vec<Prepared<E>>) -> Result<(), WriteError<Vec<Prepared<E>>>> {
        if self.is_closed() {
            return Err(WriteError::Closed(batch));
        }
        let deadline = Deadline::current();
        let mut work = Work { left: Vec::with_capacity(batch.len()), refused: Vec::new() };
        for mut prepared in batch {
            match prepared.refused.take() {
                None => work.left.push(prepared),
                // A second offer.
                Some(error) if prepared.is_buried => {
                    prepared.refused = Some(error);
                    work.refused.push(prepared);
                }
                Some(error) => self.give_up(&mut work, prepared, error),
            }
        }
        let (mut attempts, mut since) = (0_u32, Instant::now());
        loop {
            if work.left.is_empty() {
                return work.finish();
            }
            if self.is_closed() {
                return Err(WriteError::Closed(work.into_rest()));
            }
            // An aborted batch keeps the events, and counts them as aborted when it is closed.
            if self.is_over(deadline) {
                return Err(WriteError::Timeout(work.into_rest()));
            }
            let wait = self.settings.policy.before(&());
            if !wait.is_zero() {
                self.rest(wait, deadline);
                continue;
            }
            let before = work.left.len();
            let attempted = self.attempt(&mut work, deadline);
            if work.left.len() < before {
                (attempts, since) = (0, Instant::now());
            }
            let error = match attempted {
                Attempted::Good => {
                    self.settings.policy.success();
                    continue;
                }
                Attempted::Stopped => {
                    self.settings.policy.abandoned();
                    continue;
                }
                Attempted::Failed(error) => error,
            };
            attempts = attempts.saturating_add(1);
            let attempt = Attempt::new(attempts, since.elapsed(), AttemptError::Failed(&error));
            match self.settings.policy.failure(&(), &attempt) {
                Next::Again => {}
                Next::After(wait) => self.rest(wait, deadline),
                _ => {
                    for prepared in std::mem::take(&mut work.left) {
                        self.give_up(&mut work, prepared, error.clone());
                    }
                }
            }
        }
    }

    /// Ends the connection. No batch is being written then: the batch upstream forwards one at a
    /// time, and closes this sink after the last.
    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.closed.store(true, Ordering::Release);
        self.link.end();
        CloseReport::done()
    }

    fn abort_now(&self) {
        self.pause.interrupt();
    }

    fn reports_closed(&self) -> bool {
        self.is_closed() || self.pause.is_interrupted()
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.pause))
    }
}
