//! The calls of the peers, other than to send one event and to receive one.
//!
//! A [`Reading`] route has the peer's waiting, as [`Waiting`](super::Waiting) has, but its receiver
//! is read by another call. A [`Refusing`] route has publishers that never wait: they call the
//! peer's `try_send` again.

use super::{Consumer, Line, Route, senders};
use crate::event::{Event, Seed};
use crate::peer::{
    AsyncBroadcast, Crossbeam, Crossfire, EACH, Fanring, Flume, Kanal, Rapidfire, Std, Thingbuf, TokioMpsc,
    Waits,
};
use pollster::block_on;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The limit of a wait for an event: longer than any pause of a bench.
const LIMIT: Duration = Duration::from_secs(60);
/// The most events of a batch.
const BATCH: usize = 64;

/// The receiver's iterator.
#[derive(Clone, Copy, Debug)]
pub struct Iter;

/// A receive with a limit of time.
#[derive(Clone, Copy, Debug)]
pub struct Timeout;

/// A receive of several events at once.
#[derive(Clone, Copy, Debug)]
pub struct Batch;

/// A receive as a future, on a thread that blocks on it.
#[derive(Clone, Copy, Debug)]
pub struct Async;

/// A peer whose receiver has the call `C`.
pub trait Reads<C>: Waits {
    /// Calls `handle` for each event, until all senders are dropped.
    fn read(receiver: Self::Receiver, handle: impl FnMut(&Event));
}

/// A peer whose receiver is read by the call `C`.
pub struct Reading<P, C>(PhantomData<fn(P, C)>);

/// Returns a [`Reading`] route.
#[must_use]
pub fn reading<P: Reads<C>, C>() -> Reading<P, C> {
    Reading(PhantomData)
}

impl<P: Reads<C>, C: 'static> Route for Reading<P, C> {
    const LOSSY: bool = P::LOSSY;

    fn open(
        self,
        publishers: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let (sender, receiver) = P::open_for(publishers);
        let consumer = Consumer::spawn(move || P::read(receiver, handle));
        let senders = senders::<P>(sender, publishers).into_iter();
        Line { senders: senders.map(|mut sender| move |seed| P::send(&mut sender, seed)).collect(), consumer }
    }
}

/// A peer whose senders try again at once, and whose receiver waits as the crate does.
pub struct Refusing<P>(PhantomData<fn(P)>);

/// Returns a [`Refusing`] route.
#[must_use]
pub fn refusing<P: Waits>() -> Refusing<P> {
    Refusing(PhantomData)
}

impl<P: Waits> Route for Refusing<P> {
    const LOSSY: bool = P::LOSSY;

    fn open(
        self,
        publishers: usize,
        mut handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let (sender, mut receiver) = P::open_for(publishers);
        let consumer = Consumer::spawn(move || {
            while let Some(event) = P::recv(&mut receiver) {
                handle(&event);
            }
        });
        let senders = senders::<P>(sender, publishers).into_iter().map(|mut sender| {
            move |seed| {
                while !P::try_send(&mut sender, seed) {
                    std::hint::spin_loop();
                }
            }
        });
        Line { senders: senders.collect(), consumer }
    }
}

impl<P, C> fmt::Debug for Reading<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reading").finish()
    }
}

impl<P> fmt::Debug for Refusing<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refusing").finish()
    }
}

/// Implements one call for peers: the loop over the events of `receiver`, a unique reference.
macro_rules! reads {
    ($call:ty: |$receiver:ident, $handle:ident| $read:expr; $($peer:ty),+) => {
        $(impl Reads<$call> for $peer {
            fn read(receiver: Self::Receiver, mut handle: impl FnMut(&Event)) {
                let mut own = receiver;
                let ($receiver, $handle) = (&mut own, &mut handle);
                $read
            }
        })+
    };
}

reads! {
    Iter: |receiver, handle| receiver.iter().for_each(|event| handle(&event));
    Crossbeam, Flume, Std, Fanring<EACH>
}
reads! { Iter: |receiver, handle| receiver.for_each(|event| handle(&event)); Kanal }

reads! {
    Timeout: |receiver, handle| {
        while let Ok(event) = receiver.recv_timeout(LIMIT) {
            handle(&event);
        }
    };
    Crossbeam, Crossfire, Fanring<EACH>, Flume, Kanal, Std, Thingbuf
}

reads! {
    Batch: |receiver, handle| {
        let mut events = Vec::with_capacity(BATCH);
        while receiver.recv_batch_into(&mut events, BATCH).is_ok() {
            events.drain(..).for_each(|event| handle(&event));
        }
    };
    Fanring<EACH>
}
reads! {
    Batch: |receiver, handle| {
        let mut events = Vec::with_capacity(BATCH);
        while receiver.blocking_recv_many(&mut events, BATCH) > 0 {
            events.drain(..).for_each(|event| handle(&event));
        }
    };
    TokioMpsc
}
reads! {
    Batch: |receiver, handle| {
        let mut events = Vec::with_capacity(BATCH);
        while block_on(receiver.recv_many(&mut events, BATCH)).is_ok() {
            events.drain(..).for_each(|event| handle(&event));
        }
    };
    Rapidfire
}
// These have no batch that waits: all other available events follow the first one.
reads! {
    Batch: |receiver, handle| {
        let mut events = Vec::with_capacity(crate::CAPACITY);
        while let Ok(event) = receiver.recv() {
            handle(&event);
            let _ = receiver.drain_into(&mut events);
            events.drain(..).for_each(|event| handle(&event));
        }
    };
    Kanal
}
reads! {
    Batch: |receiver, handle| {
        while let Ok(event) = receiver.recv() {
            handle(&event);
            receiver.drain().for_each(|event| handle(&event));
        }
    };
    Flume
}

reads! {
    Async: |receiver, handle| block_on(async {
        while let Ok(event) = receiver.recv().await {
            handle(&event);
        }
    });
    AsyncBroadcast, Rapidfire
}
reads! {
    Async: |receiver, handle| block_on(async {
        while let Some(event) = receiver.recv().await {
            handle(&event);
        }
    });
    TokioMpsc
}
reads! {
    Async: |receiver, handle| block_on(async {
        while let Ok(event) = receiver.recv_async().await {
            handle(&event);
        }
    });
    Fanring<EACH>, Flume
}
reads! {
    Async: |receiver, handle| block_on(async {
        while let Ok(event) = receiver.as_async().recv().await {
            handle(&event);
        }
    });
    Kanal
}

impl Reads<Async> for Crossfire {
    fn read(receiver: Self::Receiver, mut handle: impl FnMut(&Event)) {
        let receiver = receiver.into_async();
        block_on(async {
            while let Ok(event) = receiver.recv().await {
                handle(&event);
            }
        });
    }
}
