//! What the endpoint, the director's nodes and the conductor share.

use super::line::{Line, Traffic};
use super::remote::Remote;
use crate::change::{Change, Origin, Vector};
use crate::client::Client;
use crate::options::Options;
use crate::record::{Record, Verdict};
use crate::server::{Answer, Service, body, parse};
use crate::wire::{Event, Join, Joined, Peer, answer};
use buslane::director::{Delivery, Director, DirectorReport, Member, Packet};
use buslane::retry::Backoff;
use demo_support::{Failure, Mark, Story, number_of};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How long the last delivery of a member that leaves may take.
const LEAVE: Duration = Duration::from_secs(2);

/// How long an event may wait for others in the same packet, and so in the same request.
const LINGER: Duration = Duration::from_millis(10);

/// What the endpoint, the director's nodes and the conductor share.
pub(super) struct Desk {
    pub(super) story: Story,
    pub(super) client: Client,
    /// How long a node may take to answer.
    pub(super) timeout: Duration,
    director: Director<Event>,
    /// The longest lag of a healthy node: half of the history.
    most_lag: u64,
    own: Weak<Self>,
    members: Mutex<BTreeMap<String, Seat>>,
    lines: Mutex<BTreeMap<String, Vec<Arc<Line>>>>,
    aside: Mutex<BTreeSet<String>>,
    record: Mutex<Record>,
    marks: Mutex<Marks>,
}

/// The hub as a member of its own director, to send marks: only a member can ask which others have
/// acknowledged an event.
struct Marks {
    member: Member<Event>,
    sent: u32,
}

/// A member.
struct Seat {
    member: Member<Event>,
    url: String,
}

impl Desk {
    pub(super) fn open(options: &Options, story: Story) -> Result<Arc<Self>, Failure> {
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
        let director = Director::builder()
            .history(options.history)
            .packet(options.packet.get())
            .linger(LINGER)
            .retry(backoff);
        let director =
            director.build().map_err(|error| Failure::setup("cannot start the director", error))?;
        let member = director.join("hub", |_: &Packet<Event>| Delivery::Done);
        let member = member.map_err(|error| Failure::setup("cannot join the director", error))?;
        Ok(Arc::new_cyclic(|own| Self {
            story,
            client: Client::new(),
            timeout: options.timeout,
            director,
            most_lag: options.history as u64 / 2,
            own: own.clone(),
            members: Mutex::default(),
            lines: Mutex::default(),
            aside: Mutex::default(),
            record: Mutex::default(),
            marks: Mutex::new(Marks { member, sent: 0 }),
        }))
    }

    /// Makes a node a member that has no data yet. A former life of the node leaves first.
    fn join(&self, join: Join) -> Answer {
        let Join { name, url } = join;
        self.forget(&name);
        let line = Arc::<Line>::default();
        lock(&self.lines).entry(name.clone()).or_default().push(line.clone());
        let peer = Peer { name: name.clone(), url: url.clone() };
        let origin = {
            let mut members = lock(&self.members);
            let node = Remote { peer, line, desk: self.own.clone() };
            let member = self.director.join(name.as_str(), node).map_err(|_| answer::UNAVAILABLE)?;
            let origin = Origin(member.epoch().get());
            members.insert(name, Seat { member, url });
            origin
        };
        self.announce_peers();
        body(&Joined { origin })
    }

    /// Tells all nodes where the others are, ahead of the changes that wait for them.
    fn announce_peers(&self) {
        // It fails only after the close.
        let _ = self.director.root().broadcast(Event::Peers(self.peers()));
    }

    pub(super) fn forget(&self, name: &str) {
        let seat = lock(&self.members).remove(name);
        if let Some(Seat { member, .. }) = seat {
            let left = member.leave_timeout(LEAVE);
            let undelivered = number_of(left.member.undelivered, "undelivered event");
            self.story.tell(name, format_args!("leaves, with {undelivered}"));
            self.announce_peers();
        }
    }

    /// Accepts a change of a member, and broadcasts it to all others.
    fn publish(&self, change: Change) -> Answer {
        let mut members = lock(&self.members);
        let mut seats = members.values_mut();
        let seat = seats.find(|seat| seat.member.epoch().get() == change.origin.0).ok_or(answer::GONE)?;
        let mut record = lock(&self.record);
        match record.judge(&change) {
            Verdict::Known => return Ok(Vec::new()),
            Verdict::OutOfOrder => return Err(answer::BAD_REQUEST),
            Verdict::New if self.must_wait() => return Err(answer::SLOW_DOWN),
            Verdict::New => {}
        }
        // The record has the order of the director: both change under one lock.
        seat.member.broadcast(Event::Change(change.clone())).map_err(|_| answer::GONE)?;
        record.add(change);
        Ok(Vec::new())
    }

    /// Returns whether a healthy node lags by more than half of the history, so that further changes
    /// could be lost for it.
    fn must_wait(&self) -> bool {
        let aside = lock(&self.aside);
        let snapshot = self.director.snapshot();
        snapshot.members.iter().any(|member| member.unread > self.most_lag && !aside.contains(&member.name))
    }

    pub(super) fn set_aside(&self, name: &str, is_aside: bool) {
        let mut aside = lock(&self.aside);
        if is_aside {
            aside.insert(name.to_owned());
        } else {
            aside.remove(name);
        }
    }

    pub(super) fn peers(&self) -> Vec<Peer> {
        let members = lock(&self.members);
        let peer = |(name, seat): (&String, &Seat)| Peer { name: name.clone(), url: seat.url.clone() };
        members.iter().map(peer).collect()
    }

    pub(super) fn traffic(&self, name: &str) -> (Traffic, Traffic) {
        let lines = lock(&self.lines);
        let (mut sum, mut last) = <(Traffic, Traffic)>::default();
        for line in lines.get(name).into_iter().flatten() {
            last = line.traffic();
            sum += last;
        }
        (sum, last)
    }

    pub(super) fn accepted(&self) -> Vector {
        lock(&self.record).accepted()
    }

    pub(super) fn accepted_count(&self) -> u64 {
        lock(&self.record).len()
    }

    pub(super) fn mark(&self, limit: Duration) -> Result<Vec<String>, Failure> {
        let mut marks = lock(&self.marks);
        marks.sent += 1;
        let mark = marks.sent;
        let acks = marks.member.broadcast_acked(Event::Mark(mark), limit);
        let acks = acks.map_err(|error| Failure::broken("cannot publish a mark", error))?;
        let (good, acked) = (acks.missing.is_empty(), acks.acked.join(", "));
        self.story.tell_as(
            Mark::good_if(good, Mark::Bad),
            "hub",
            format_args!("mark {mark}: everything before it is acknowledged by {acked}"),
        );
        Ok(acks.missing)
    }

    pub(super) fn close(&self, limit: Duration) -> (Record, DirectorReport) {
        let report = self.director.close_timeout(limit);
        self.story.tell("hub", format_args!("closes the director: {}", report.finish));
        lock(&self.members).clear();
        (std::mem::take(&mut *lock(&self.record)), report)
    }
}

impl Service for Desk {
    fn answer(&self, path: &str, request: &[u8]) -> Answer {
        match path {
            "/join" => self.join(parse(request)?),
            "/publish" => self.publish(parse(request)?),
            _ => Err(answer::NOT_FOUND),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
