//! The token of a monitor: the position after the last event that the sink accepted.
//!
//! The worker moves it with each event, and handles read it now and then. So the worker pushes each
//! token into a private ring, and a reader takes out of the ring what is there. An event costs a store
//! then, and no lock.
//!
//! # Invariants
//! - T1: only the worker pushes. The tokens in the ring are in order, and all of them are later than
//!   the newest one next to the ring. So the last one in the ring, if there is any, is the token.
//! - T2: a thread takes tokens out of the ring under the lock, and makes the last of them the newest
//!   one before it releases the lock. So no token is skipped, and none goes back.
//! - T3: the worker takes the lock where the ring is full, at the end, and to forget the token. It
//!   empties the ring first, and is the only one that could fill it again.
//! - T4: no user code runs under the lock. Earlier tokens are dropped, and the newest one is cloned,
//!   outside of it.

use crate::error::BuildError;
use crate::ring::spsc::{Consumer, Producer, ring};
use crate::sync::{MODEL, Mutex, lock};
use crate::wait::context::{cloned, dispose, dispose_each};
use std::sync::Arc;

/// The tokens that the ring holds: the worker takes the lock once for this number of events. In models
/// they are few, so that the ring is full early.
const CAPACITY: usize = if MODEL { 2 } else { 32 };

/// The worker's half.
pub(super) struct TokenWriter<T>(Producer<T>);

/// What the worker and the handles share.
pub(super) struct TokenCell<T>(Mutex<Newest<T>>);

struct Newest<T> {
    ring: Consumer<T>,
    token: Token<T>,
}

/// A token is cloned outside the lock, so the first caller that asks for it moves it into an allocation
/// that callers share.
enum Token<T> {
    None,
    Owned(T),
    Shared(Arc<T>),
}

/// Makes both halves, with the token of an earlier process.
pub(super) fn tokens<T: Send>(first: Option<T>) -> Result<(TokenWriter<T>, TokenCell<T>), BuildError> {
    let (producer, consumer) = ring(CAPACITY)?;
    let newest = Newest { ring: consumer, token: first.map_or(Token::None, Token::Owned) };
    Ok((TokenWriter(producer), TokenCell(Mutex::new(newest))))
}

impl<T> TokenWriter<T> {
    /// Moves the token on.
    #[inline]
    pub(super) fn set(&mut self, token: T, cell: &TokenCell<T>) {
        if let Err(token) = self.0.push(token) {
            cell.replace(Some(token));
        }
    }
}

impl<T> TokenCell<T> {
    /// Replaces the token, also by none. Only the worker calls this (T3).
    #[cold]
    pub(super) fn replace(&self, token: Option<T>) {
        self.settle();
        let token = token.map_or(Token::None, Token::Owned);
        let old = std::mem::replace(&mut lock(&self.0).token, token);
        dispose(old);
    }

    /// Drops every token but the newest one.
    pub(super) fn settle(&self) {
        let mut taken = Vec::with_capacity(CAPACITY);
        let old = {
            let mut newest = lock(&self.0);
            newest.ring.look(usize::MAX);
            newest.ring.move_known(usize::MAX, &mut taken);
            taken.pop().map(|last| std::mem::replace(&mut newest.token, Token::Owned(last)))
        };
        dispose(old);
        dispose_each(taken);
    }

    /// Returns the token.
    pub(super) fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.settle();
        let shared = {
            let mut newest = lock(&self.0);
            let shared = match std::mem::replace(&mut newest.token, Token::None) {
                Token::None => return None,
                Token::Owned(token) => Arc::new(token),
                Token::Shared(shared) => shared,
            };
            newest.token = Token::Shared(shared.clone());
            shared
        };
        let copy = cloned(&*shared);
        dispose(shared);
        Some(copy)
    }
}
