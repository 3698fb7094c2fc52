//! A source that plays steps.

use super::{GUARD, lock};
use crate::source::{Connection, Fault, Gap, Item, Session, Source};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A [`Source`] that plays steps, for tests of a monitor or of what is downstream of one.
///
/// A test writes down what the other side does: accept or refuse a connection, send events, end.
/// Waits are by the clock of the monitor, so with a [`ManualClock`](super::ManualClock) no test
/// sleeps. When all steps were played, the source blocks until further steps are added or the
/// monitor is stopped. Clones share the steps.
///
/// The token of an event is the number of events before and including it.
///
/// | call of the monitor | steps |
/// |---|---|
/// | connect | [`connect`](Self::connect), [`connect_resumed`](Self::connect_resumed), [`connect_undecided`](Self::connect_undecided), [`refuse`](Self::refuse), [`refuse_token`](Self::refuse_token), [`refuse_for_good`](Self::refuse_for_good) |
/// | read | [`event`](Self::event), [`resumed`](Self::resumed), [`gap`](Self::gap), [`alive`](Self::alive), [`duplicate`](Self::duplicate), [`undecodable`](Self::undecodable), [`silent`](Self::silent), [`end`](Self::end), [`fail`](Self::fail), [`fail_token`](Self::fail_token) |
/// | either | [`wait`](Self::wait), [`panic`](Self::panic) |
/// | check, after `silent` | [`gone`](Self::gone); without it, the other side is there |
///
/// A step of a connect ends the connection that is open. A step of a read opens one if none is open.
///
/// # Examples
/// ```
/// use buslane::source::{Gap, GapReason, Monitor, Update};
/// use buslane::testing::{Collect, ManualClock, Script};
/// let (script, seen) = (Script::new().connect().event("one").end().connect().event("two"), Collect::new());
/// let monitor = Monitor::builder(script.clone()).clock(ManualClock::hurrying()).spawn(seen.clone())?;
/// script.wait_played();
/// let updates = seen.events();
/// assert_eq!(updates[..2], [Update::Connected { resumed: false }, Update::Event("one")]);
/// assert!(matches!(updates[2], Update::Disconnected(_)));
/// assert_eq!(updates[3], Update::Gap(Gap::new(GapReason::Unproven)));
/// assert_eq!(updates[4..], [Update::Connected { resumed: false }, Update::Event("two")]);
/// assert_eq!(script.tokens(), [None, Some(1)]);
/// # drop(monitor);
/// # Ok::<(), buslane::error::SpawnError>(())
/// ```
pub struct Script<E>(Arc<ScriptCore<E>>);

struct ScriptCore<E> {
    state: Mutex<ScriptState<E>>,
    changed: Condvar,
}

struct ScriptState<E> {
    steps: VecDeque<Step<E>>,
    /// The number of events that were read.
    sent: u64,
    /// The token of each connect.
    tokens: Vec<Option<u64>>,
    /// The connections that are open, and the most that were open at once.
    open: usize,
    most_open: usize,
    /// Whether a call has found no further step.
    is_played: bool,
}

enum Step<E> {
    Connect(Option<bool>),
    Refuse(Fault),
    Item(Item<E, ()>),
    End(Option<Fault>),
    Gone(Fault),
    Wait(Duration),
    Panic,
}

impl<E> Script<E> {
    /// Returns a script without steps.
    #[must_use]
    pub fn new() -> Self {
        let state = ScriptState {
            steps: VecDeque::new(),
            sent: 0,
            tokens: Vec::new(),
            open: 0,
            most_open: 0,
            is_played: false,
        };
        Self(Arc::new(ScriptCore { state: Mutex::new(state), changed: Condvar::new() }))
    }

    fn step(self, step: Step<E>) -> Self {
        self.change(|state| {
            state.steps.push_back(step);
            state.is_played = false;
        });
        self
    }

    fn change<R>(&self, change: impl FnOnce(&mut ScriptState<E>) -> R) -> R {
        let result = change(&mut lock(&self.0.state));
        self.0.changed.notify_all();
        result
    }

    /// Accepts a connection, which does not know whether it continues after the token.
    pub fn connect(self) -> Self {
        self.step(Step::Connect(Some(false)))
    }

    /// Accepts a connection, which continues after the token.
    pub fn connect_resumed(self) -> Self {
        self.step(Step::Connect(Some(true)))
    }

    /// Accepts a connection, which finds out later whether it continues: see
    /// [`resumed`](Self::resumed).
    pub fn connect_undecided(self) -> Self {
        self.step(Step::Connect(None))
    }

    /// Refuses a connection, with this error.
    pub fn refuse(self, error: &str) -> Self {
        self.step(Step::Refuse(Fault::transient(error)))
    }

    /// Refuses a connection, because of its token.
    pub fn refuse_token(self) -> Self {
        self.step(Step::Refuse(Fault::stale_token("the token is unknown")))
    }

    /// Refuses a connection, and every further one.
    pub fn refuse_for_good(self, error: &str) -> Self {
        self.step(Step::Refuse(Fault::fatal(error)))
    }

    /// Sends an event.
    pub fn event(self, event: E) -> Self {
        self.step(Step::Item(Item::Event(event, ())))
    }

    /// Reports whether the connection continues after its token.
    pub fn resumed(self, resumed: bool) -> Self {
        self.step(Step::Item(Item::Resumed(resumed)))
    }

    /// Reports a gap.
    pub fn gap(self, gap: Gap) -> Self {
        self.step(Step::Item(Item::Gap(gap)))
    }

    /// Moves the token on by one, without an event.
    pub fn alive(self) -> Self {
        self.step(Step::Item(Item::Alive(())))
    }

    /// Sends an event that the source recognizes as a duplicate.
    pub fn duplicate(self) -> Self {
        self.step(Step::Item(Item::Duplicate(())))
    }

    /// Sends something that cannot be decoded.
    pub fn undecodable(self, error: &str) -> Self {
        self.step(Step::Item(Item::Undecodable(error.into(), None)))
    }

    /// Sends nothing for the time of silence.
    pub fn silent(self) -> Self {
        self.step(Step::Item(Item::Silent))
    }

    /// Makes the check after [`silent`](Self::silent) fail.
    pub fn gone(self, error: &str) -> Self {
        self.step(Step::Gone(Fault::transient(error)))
    }

    /// Ends the connection without an error.
    pub fn end(self) -> Self {
        self.step(Step::End(None))
    }

    /// Ends the connection with this error.
    pub fn fail(self, error: &str) -> Self {
        self.step(Step::End(Some(Fault::transient(error))))
    }

    /// Ends the connection, because of its token.
    pub fn fail_token(self) -> Self {
        self.step(Step::End(Some(Fault::stale_token("the token is unknown"))))
    }

    /// Lets time pass by the clock of the monitor.
    pub fn wait(self, duration: Duration) -> Self {
        self.step(Step::Wait(duration))
    }

    /// Panics in the next connect or read.
    pub fn panic(self) -> Self {
        self.step(Step::Panic)
    }

    /// Returns the token of each connect, in order.
    #[must_use]
    pub fn tokens(&self) -> Vec<Option<u64>> {
        lock(&self.0.state).tokens.clone()
    }

    /// Returns the largest number of connections that were open at the same time.
    #[must_use]
    pub fn most_open(&self) -> usize {
        lock(&self.0.state).most_open
    }

    /// Returns the number of connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.0.state).open
    }

    /// Waits, in real time, until the monitor has called connect `count` times.
    ///
    /// # Panics
    /// If that does not happen within half a minute.
    #[track_caller]
    pub fn wait_connects(&self, count: usize) {
        self.await_state("the connects did not come", |state| state.tokens.len() >= count);
    }

    /// Waits, in real time, until all steps were played and the monitor asks for another one. So it
    /// has forwarded everything before.
    ///
    /// # Panics
    /// If that does not happen within half a minute.
    #[track_caller]
    pub fn wait_played(&self) {
        self.await_state("not all steps were played", |state| state.is_played);
    }

    #[track_caller]
    fn await_state(&self, otherwise: &str, done: impl Fn(&ScriptState<E>) -> bool) {
        let state = lock(&self.0.state);
        let (state, timeout) = self
            .0
            .changed
            .wait_timeout_while(state, GUARD, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!timeout.timed_out(), "{otherwise} within {GUARD:?}");
    }
}

/// What a call found at the front of the script.
enum Found<T> {
    Step(T),
    /// Time passes before the next step.
    Wait(Duration),
    Panic,
}

impl<E: Send + 'static> Script<E> {
    /// Returns the next step that `choose` makes something of, after waits. `None` after a stop.
    fn play<T>(
        &self,
        session: &Session,
        mut choose: impl FnMut(&mut ScriptState<E>) -> Option<T>,
    ) -> Option<T> {
        let script = self.clone();
        // Under the lock, so that the call does not block between its check and the notification.
        let _interrupt = session.on_stop(move || script.change(|_| {}));
        loop {
            match self.find(session, &mut choose)? {
                Found::Step(step) => return Some(step),
                Found::Wait(duration) => {
                    if !session.wait(duration) {
                        return None;
                    }
                }
                Found::Panic => panic!("the script panics as planned"),
            }
        }
    }

    fn find<T>(
        &self,
        session: &Session,
        choose: &mut impl FnMut(&mut ScriptState<E>) -> Option<T>,
    ) -> Option<Found<T>> {
        let mut state = lock(&self.0.state);
        loop {
            if session.is_stopped() {
                return None;
            }
            match state.steps.front() {
                Some(Step::Wait(duration)) => {
                    let duration = *duration;
                    state.steps.pop_front();
                    return Some(Found::Wait(duration));
                }
                Some(Step::Panic) => {
                    state.steps.pop_front();
                    return Some(Found::Panic);
                }
                Some(_) => {
                    if let Some(step) = choose(&mut state) {
                        return Some(Found::Step(step));
                    }
                }
                None => {
                    state.is_played = true;
                    self.0.changed.notify_all();
                    state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl<E: Send + 'static> Source for Script<E> {
    type Event = E;
    type Token = u64;
    type Connection = ScriptConnection<E>;

    fn connect(&mut self, from: Option<&u64>, session: &Session) -> Result<ScriptConnection<E>, Fault> {
        self.change(|state| state.tokens.push(from.copied()));
        let accepted = self.play(session, |state| match state.steps.pop_front() {
            Some(Step::Connect(resumed)) => Some(Ok(resumed)),
            Some(Step::Refuse(fault)) => Some(Err(fault)),
            step => {
                if let Some(step) = step {
                    state.steps.push_front(step);
                }
                Some(Ok(Some(false)))
            }
        });
        let resumed = accepted.unwrap_or_else(|| Err(Fault::transient("the monitor was stopped")))?;
        self.change(|state| {
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
        });
        Ok(ScriptConnection { script: self.clone(), session: session.clone(), resumed })
    }
}

/// A connection of a [`Script`].
pub struct ScriptConnection<E> {
    script: Script<E>,
    session: Session,
    resumed: Option<bool>,
}

impl<E: Send + 'static> Connection for ScriptConnection<E> {
    type Event = E;
    type Token = u64;

    fn resumed(&mut self) -> Option<bool> {
        self.resumed
    }

    fn next(&mut self) -> Result<Option<Item<E, u64>>, Fault> {
        let read = self.script.play(&self.session, |state| match state.steps.pop_front()? {
            Step::Item(item) => Some(Ok(Some(item))),
            Step::End(fault) => Some(fault.map_or(Ok(None), Err)),
            Step::Gone(_) => None,
            step => {
                state.steps.push_front(step);
                Some(Ok(None))
            }
        });
        let Some(item) = read.unwrap_or(Ok(None))? else { return Ok(None) };
        let moved = || {
            self.script.change(|state| {
                state.sent += 1;
                state.sent
            })
        };
        Ok(Some(match item {
            Item::Event(event, ()) => Item::Event(event, moved()),
            Item::Alive(()) => Item::Alive(moved()),
            Item::Duplicate(()) => Item::Duplicate(moved()),
            Item::Resumed(resumed) => Item::Resumed(resumed),
            Item::Gap(gap) => Item::Gap(gap),
            Item::Undecodable(error, _) => Item::Undecodable(error, None),
            Item::Silent => Item::Silent,
        }))
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.script.change(|state| match state.steps.pop_front() {
            Some(Step::Gone(fault)) => Err(fault),
            step => {
                if let Some(step) = step {
                    state.steps.push_front(step);
                }
                Ok(())
            }
        })
    }
}

impl<E> Drop for ScriptConnection<E> {
    fn drop(&mut self) {
        self.script.change(|state| state.open -= 1);
    }
}

impl<E> Default for Script<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for Script<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> fmt::Debug for Script<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, connects, open) = {
            let state = lock(&self.0.state);
            (state.steps.len(), state.tokens.len(), state.open)
        };
        f.debug_struct("Script")
            .field("left", &left)
            .field("connects", &connects)
            .field("open", &open)
            .finish()
    }
}

impl<E> fmt::Debug for ScriptConnection<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptConnection")
    }
}
