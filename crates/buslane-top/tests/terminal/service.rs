//! A service in the process of the tests, whose figures a test decides.

use crate::folder::Folder;
use buslane::{Bus, Channel, Journal, Receiver, Subscriber};
use buslane_inspect::client::{Client, Target};
use buslane_inspect::{At, Frame, Inspector, Serving};

/// A service at rest: nothing moves but by the test.
pub(crate) struct Service {
    pub(crate) bus: Bus<u64>,
    serving: Serving,
    full: Receiver<u64>,
    _all: Receiver<u64>,
    _subscriber: Subscriber<u64>,
    target: Target,
}

impl Service {
    /// Starts a service at a socket. It publishes `events` events: the channel `full` keeps 8 of them,
    /// the channel `all` and the journal `feed` keep all of them, up to 1024.
    pub(crate) fn start(folder: &Folder, events: u64) -> Self {
        Self::start_at(At::Unix(folder.file("service.sock")), events)
    }

    pub(crate) fn start_at(at: At, events: u64) -> Self {
        let bus = Bus::new();
        let (channel, full) = Channel::lossy(8).unwrap();
        bus.add_named("full", channel).unwrap();
        let (channel, all) = Channel::lossy(1024).unwrap();
        bus.add_named("all", channel).unwrap();
        let journal = Journal::new(1024).unwrap();
        let subscriber = journal.subscription().name("replica").subscribe().unwrap();
        bus.add_named("feed", journal).unwrap();
        let serving = Inspector::builder().program("shop").register("orders", &bus).serve(at).unwrap();
        let target = serving.at().into();
        let service = Self { bus, serving, full, _all: all, _subscriber: subscriber, target };
        service.publish(events);
        service
    }

    pub(crate) fn publish(&self, events: u64) {
        for event in 0..events {
            // The channel `full` drops most of them.
            let _ = self.bus.publish(event).unwrap();
        }
    }

    /// Takes an event out of the channel `full`.
    pub(crate) fn take(&mut self) {
        self.full.recv().unwrap();
    }

    /// Returns the argument that names the service.
    pub(crate) fn target(&self) -> String {
        self.target.to_string()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.target.clone()).unwrap()
    }

    /// Takes a frame.
    pub(crate) fn frame(&self) -> Frame {
        self.client().snapshot().unwrap()
    }

    /// Ends the service. Its socket is gone then.
    pub(crate) fn stop(self) {
        self.serving.stop();
    }
}
