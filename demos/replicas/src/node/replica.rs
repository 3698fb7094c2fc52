//! How a node answers its clients, its peers and the hub.
//!
//! # Why each change is applied once
//! - The hub accepts the changes of a node in the order of their numbers, each once. A node sends a
//!   change until it knows that it was accepted, and only then makes the next one.
//! - A packet is applied by one thread at a time, and its id is remembered. If the same packet
//!   arrives again, because its first answer came too late, it is recognized.
//! - If events were lost before a packet, or the node is new, it first pulls the data of its peers,
//!   until that includes all that the hub had accepted. Changes that arrive later although the data
//!   includes them are recognized by their numbers.

use super::data::Data;
use crate::change::{Change, Vector, Write};
use crate::client::{Client, RequestError};
use crate::server::{Answer, Service, body, parse};
use crate::wire::{Join, Joined, Parcel, Peer, Welcome, answer};
use demo_support::Failure;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// How long the hub or a peer may take to answer.
const LIMIT: Duration = Duration::from_secs(1);

/// A node, as its endpoint sees it.
pub(super) struct Replica {
    name: String,
    hub: String,
    client: Client,
    data: Mutex<Data>,
    /// A change that was sent to the hub, with an unknown outcome.
    unsettled: Mutex<Option<Change>>,
    received: Mutex<Received>,
}

/// The ids of the last packets that were applied.
#[derive(Debug, Default)]
struct Received {
    root: Option<u64>,
    events: Option<u64>,
}

/// What is counted when a pull succeeds.
#[derive(Clone, Copy)]
enum Occasion {
    Start,
    Loss,
}

impl Replica {
    pub(super) fn new(name: &str, hub: &str) -> Self {
        let (name, hub) = (name.to_owned(), hub.to_owned());
        let (data, unsettled, received) = Default::default();
        Self { name, hub, client: Client::new(), data, unsettled, received }
    }

    /// Becomes a member.
    pub(super) fn join(&self, url: &str) -> Result<(), Failure> {
        let join = Join { name: self.name.clone(), url: url.to_owned() };
        let joined = self.client.ask(&format!("{}/join", self.hub), &join, LIMIT);
        let Joined { origin } = joined.map_err(|error| Failure::setup("cannot join the hub", error))?;
        self.data().adopt(origin);
        Ok(())
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        lock(&self.data)
    }

    /// Executes the write of a client: the hub must accept it before it is applied here.
    fn write(&self, write: Write) -> Answer {
        let mut unsettled = lock(&self.unsettled);
        if let Some(change) = &*unsettled {
            // A change that is to be sent later is still unsettled.
            self.publish(change)
                .or_else(|status| if status == answer::GONE { Ok(()) } else { Err(status) })?;
            *unsettled = None;
        }
        let change = self.data().draft(write).ok_or(answer::UNAVAILABLE)?;
        *unsettled = Some(change.clone());
        let published = self.publish(&change);
        // After any other status it may have been accepted.
        if matches!(published, Ok(()) | Err(answer::GONE | answer::SLOW_DOWN)) {
            *unsettled = None;
        }
        published.and_then(|()| body(&change))
    }

    /// Sends a change to the hub, and applies it here once it is accepted.
    fn publish(&self, change: &Change) -> Result<(), u16> {
        match self.client.post(&format!("{}/publish", self.hub), change, LIMIT) {
            Ok(()) => {
                self.data().settle(change);
                Ok(())
            }
            Err(RequestError::Status(status @ (answer::GONE | answer::SLOW_DOWN))) => Err(status),
            Err(_) => Err(answer::UNAVAILABLE),
        }
    }

    /// Pulls the data of the peers as a new member.
    fn welcome(&self, welcome: Welcome) -> Answer {
        let _receiving = self.receive()?;
        {
            let mut data = self.data();
            data.adopt(welcome.origin);
            data.peers = welcome.peers;
        }
        self.catch_up(&welcome.required, Occasion::Start)?;
        Ok(Vec::new())
    }

    /// Applies a packet, unless it was applied before.
    fn take(&self, parcel: Parcel) -> Answer {
        let mut received = self.receive()?;
        let last = if parcel.is_root { &mut received.root } else { &mut received.events };
        if Some(parcel.id) <= *last {
            self.data().counts.repeated += 1;
            return Ok(Vec::new());
        }
        if let Some(required) = &parcel.required {
            self.catch_up(required, Occasion::Loss)?;
        }
        *last = Some(parcel.id);
        self.data().receive(parcel);
        Ok(Vec::new())
    }

    /// Returns the only right to apply packets. While another thread has it, the hub must try again
    /// later: a wait would occupy a thread that peers may need.
    fn receive(&self) -> Result<MutexGuard<'_, Received>, u16> {
        match self.received.try_lock() {
            Ok(received) => Ok(received),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(answer::UNAVAILABLE),
        }
    }

    /// Pulls the data of peers until it includes what is required.
    fn catch_up(&self, required: &Vector, occasion: Occasion) -> Result<(), u16> {
        if self.data().includes(required) {
            return Ok(());
        }
        let peers = self.data().peers.clone();
        for Peer { name, url } in peers {
            if name == self.name {
                continue;
            }
            // A peer that hangs is skipped; the others may suffice.
            let Ok(state) = self.client.get(&format!("{url}/state"), LIMIT) else { continue };
            let mut data = self.data();
            data.merge(state);
            if data.includes(required) {
                match occasion {
                    Occasion::Start => data.counts.pulls_at_start += 1,
                    Occasion::Loss => data.counts.pulls_after_loss += 1,
                }
                return Ok(());
            }
        }
        // The peers are not that far themselves. The hub sends the packet again.
        Err(answer::UNAVAILABLE)
    }
}

impl Service for Replica {
    fn answer(&self, path: &str, request: &[u8]) -> Answer {
        match path {
            "/write" => self.write(parse(request)?),
            "/packet" => self.take(parse(request)?),
            "/joined" => self.welcome(parse(request)?),
            "/state" => body(&self.data().state),
            "/status" => body(&self.data().status()),
            _ => Err(answer::NOT_FOUND),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
