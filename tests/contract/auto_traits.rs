//! Which types are `Send`, `Sync` and `Clone`, and which traits are dyn compatible: promises that a
//! change of a private field could break unnoticed.

use buslane::bus::{BusBuilder, Permit, PublishAsync, PublisherSink, Reserve};
use buslane::channel::{ChannelBuilder, Entries, Recv, SharedReceiver};
use buslane::director::{
    AckError, Acks, DeadPacket, Delivery, Director, DirectorReport, DirectorSnapshot, Epoch, JoinError,
    LeaveReport, Member, MemberPublisher, MemberReport, MemberSnapshot, MemberStatus, NextPacket, Node,
    Outbox, Packet, PacketEvent, PacketKind, Roster, SendError, Ticket,
};
use buslane::error::{
    AddError, BuildError, Closed, ConfigError, OutOfMemory, RecvError, RecvTimeoutError, RemoveError,
    SpawnError, SubscribeError, TryRecvError,
};
use buslane::journal::{
    Entry, Feed, JournalBuilder, JournalWriter, OnLag, RecvEntry, Sequence, Start, Subscription, Until,
};
use buslane::queue::{Handler, QueueBuilder};
use buslane::ring::{blocks, mpmc, spsc};
use buslane::sink::lane::{InnerLane, Lane, LaneSealer, LaneWrite, Lanes};
use buslane::sink::{
    Batch, CloseAsync, Filter, FlushAsync, Map, Noop, SinkFn, SinkKey, UntilClosed, WriteAsync,
};
use buslane::source::{
    Disconnected, Fault, FileLines, FilePosition, Gap, GapReason, Monitor, MonitorSnapshot, MonitorState,
    NotLive, Session, StopHook, StopReason, StopReport, Update,
};
use buslane::stats::{
    CloseReport, Disposition, DropReason, Dropped, Finish, FlushReport, Imbalance, Ledger, Refused,
    SinkState, SinkStatus, SubscriberState,
};
use buslane::testing::SinkContract;
use buslane::time::Deadline;
use buslane::wait::{Berth, FencePair, Sleepers, WaitCell, WaitList};
use buslane::{
    BoxError, Channel, Journal, Overflow, Queue, Receiver, Sink, Subscriber, WaitStrategy, WriteError,
};
use futures::stream::FusedStream;
use std::cell::Cell;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::Arc;

/// An event type that is `Send` but not `Sync`.
type Lonely = Cell<u64>;

/// Fails to compile unless each type has all the traits.
macro_rules! assert_impl {
    ($($type:ty),+ $(,)?: $($bound:tt)+) => {
        const _: () = {
            const fn check<T: ?Sized + $($bound)+>() {}
            $(check::<$type>();)+
        };
    };
}

/// Fails to compile if a type has the trait, because `check` is then ambiguous.
macro_rules! assert_not_impl {
    ($($type:ty),+ $(,)?: $bound:path) => {
        const _: () = {
            struct Has;
            trait Ambiguous<Which> {
                fn check() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $bound> Ambiguous<Has> for T {}
            $(let _ = <$type as Ambiguous<_>>::check;)+
        };
    };
}

// Several threads use handles to sinks, whatever the event type. Both halves of a ring and a reader
// can move to another thread.
assert_impl!(
    Queue<Lonely>, Channel<Lonely>, Noop<Lonely>, Batch<Lonely, Channel<Vec<Lonely>>>, Filter<Lonely, Queue<Lonely>, fn(&Lonely) -> bool>,
    Map<u8, Lonely, Queue<Lonely>, fn(&u8) -> Lonely>, mpmc::Ring<Lonely>, dyn Sink<Lonely>,
    spsc::Sealer<Lonely>, WaitCell, WaitList, LaneSealer:
    Send + Sync
);
assert_impl!(
    Receiver<Lonely>, Recv<'static, Lonely>, SharedReceiver<Lonely>, Recv<'static, Lonely, buslane::channel::Shared>, Lane<Lonely>,
    QueueBuilder<Lonely>, ChannelBuilder<Lonely>,
    spsc::Producer<Lonely>, spsc::Consumer<Lonely>, dyn LaneWrite<Lonely>:
    Send
);

// A sink of events that are not `Send` is still a sink, because it does not keep them.
assert_impl!(Noop<Rc<u8>>, SinkFn<Rc<u8>, fn(&Rc<u8>)>: Send + Sync + Sink<Rc<u8>>);
assert_not_impl!(mpmc::Ring<Rc<u8>>, spsc::Producer<Rc<u8>>, spsc::Consumer<Rc<u8>>: Send);
assert_not_impl!(mpmc::Ring<Rc<u8>>, Lane<u8>: Sync);

// There is one reader, one producer, one consumer, and one lane per publisher.
assert_impl!(
    Queue<Lonely>, Channel<Lonely>, SharedReceiver<Lonely>, spsc::Sealer<Lonely>, LaneSealer, SinkState, CloseReport:
    Clone
);
assert_not_impl!(
    Receiver<u8>, Recv<'static, u8>, Lane<u8>, spsc::Producer<u8>, spsc::Consumer<u8>, mpmc::Ring<u8>, WaitCell: Clone
);

// Builders whose settings all have defaults.
assert_impl!(
    BusBuilder<Lonely>, QueueBuilder<Lonely>, ChannelBuilder<Lonely>, JournalBuilder<Plain>, SinkContract:
    Debug + Default
);

// Futures that are `Unpin`, so that they can be used in a `select!`.
assert_impl!(
    Recv<'static, Lonely>, Recv<'static, Lonely, buslane::channel::Shared>: Future<Output = Result<Lonely, RecvError>> + Unpin
);
assert_impl!(Receiver<Lonely>, Queue<Lonely>, Channel<Lonely>, Lane<Lonely>: Unpin);
assert_impl!(
    Reserve<'static, Lonely>, PublishAsync<'static, Lonely>, WriteAsync<'static, Lonely>, FlushAsync, CloseAsync,
    UntilClosed: Future + Send + Unpin + Debug
);
assert_impl!(
    Permit<'static, Lonely>, PublisherSink<Lonely>, Entries<'static, Lonely>,
    Entries<'static, Lonely, buslane::channel::Shared>: Send + Unpin + Debug
);
assert_impl!(
    Receiver<Lonely>, SharedReceiver<Lonely>, Entries<'static, Lonely>, Subscriber<u8>: FusedStream
);
assert_impl!(PublisherSink<Lonely>: futures::Sink<Lonely, Error = Closed<()>>);
assert_impl!(UntilClosed, FlushAsync, CloseAsync: 'static);

// Errors require of the event type only what their thread safety requires.
struct Plain;
assert_impl!(WriteError<Plain>, Closed<Plain>: Error + Debug + Display + Send + Sync);
assert_impl!(mpmc::PushError<Plain>: Debug);
assert_impl!(
    ConfigError, OutOfMemory, BuildError, SubscribeError, AddError, RemoveError, RecvError, TryRecvError, RecvTimeoutError:
    Error + Clone + Copy + PartialEq + Eq + Send + Sync
);
assert_impl!(SpawnError, Imbalance: Error + Send + Sync);

// Types that are passed by value.
assert_impl!(
    Deadline, DropReason, Dropped, Finish, Ledger, Overflow, Deadline, Refused, SinkKey, SinkStatus, WaitStrategy,
    FencePair:
    Debug + Clone + Copy + PartialEq + Eq + Send + Sync + UnwindSafe + RefUnwindSafe
);
assert_impl!(SinkKey, DropReason: Hash);
assert_impl!(Finish: Ord);
assert_impl!(CloseReport, FlushReport: Display + Default + PartialEq + Eq + Send + Sync);

// All types implement `Debug`, even if the event type does not.
assert_impl!(
    Queue<Plain>, Channel<Plain>, Receiver<Plain>, Recv<'static, Plain>, SharedReceiver<Plain>,
    Recv<'static, Plain, buslane::channel::Shared>, Lane<Plain>, LaneSealer, QueueBuilder<Plain>,
    ChannelBuilder<Plain>, Noop<Plain>, SinkFn<Plain, fn(&Plain)>, Filter<Plain, Noop<Plain>, fn(&Plain) -> bool>,
    Map<u8, Plain, Noop<Plain>, fn(&u8) -> Plain>, mpmc::Ring<Plain>, spsc::Producer<Plain>, spsc::Consumer<Plain>,
    spsc::Sealer<Plain>, WaitCell, WaitList:
    Debug
);

// A journal lends its events to all threads. Its handles are shared, but its subscribers and its
// single writer are not.
assert_impl!(Journal<Plain>, Feed<Plain>, blocks::Source<Plain>, blocks::SharedWriter<Plain>: Clone + Send + Sync + Unpin + Debug);
assert_impl!(
    JournalWriter<Plain>, Subscriber<Plain>, Subscription<Plain>, JournalBuilder<Plain>, RecvEntry<'static, Plain>,
    blocks::Writer<Plain>, blocks::Reader<Plain>:
    Send + Unpin + Debug
);
assert_impl!(Sleepers, Berth: Send + Sync + Debug);
assert_not_impl!(
    JournalWriter<u8>, Subscriber<u8>, Subscription<u8>, RecvEntry<'static, u8>, blocks::Writer<u8>, blocks::Reader<u8>,
    Berth: Clone
);
assert_not_impl!(JournalWriter<u8>, Subscriber<u8>, blocks::Writer<u8>: Sync);
assert_impl!(RecvEntry<'static, u8>: Future<Output = Result<Entry<u8>, RecvError>>);
assert_impl!(Journal<Plain>, Arc<Journal<Plain>>, Batch<u8, Journal<Vec<u8>>>, Map<u8, Plain, Journal<Plain>, fn(&u8) -> Plain>: Send + Sync);
assert_impl!(
    Sequence, Start, Until, Entry<u8>, Entry<&'static [u8]>, OnLag, SubscribeError, Closed<()>, blocks::Look:
    Debug + Clone + Copy + PartialEq + Eq + Send + Sync + UnwindSafe + RefUnwindSafe
);
assert_impl!(Sequence: Hash + Ord + Display + Default);
assert_impl!(SubscribeError: Error);
assert_impl!(SubscriberState: Clone + Debug + Display + Default + PartialEq + Eq + Send + Sync);

// Handles of a monitor are shared, and so is the session of its source.
assert_impl!(Monitor<Plain>, Session: Clone + Send + Sync + Debug);
assert_impl!(StopHook: Send + Sync + Debug);
assert_impl!(Update<Plain>: Send + Sync);
assert_impl!(Update<u8>, Disconnected, Gap, GapReason, MonitorState, StopReason, FilePosition: Debug + Clone + PartialEq + Eq + Send + Sync);
assert_impl!(MonitorState, StopReason, MonitorSnapshot, StopReport, Gap, GapReason, Disconnected, FilePosition: Display);
assert_impl!(Fault, NotLive, buslane::source::ParsePositionError: Error + Send + Sync);
assert_impl!(FileLines: Clone + Debug + Send + Sync);

// Handles of a director are shared; a member and an outbox have one owner, on any thread.
assert_impl!(Director<u8>, MemberPublisher<u8>: Clone + Send + Debug);
assert_impl!(Director<u8>: Sync);
assert_impl!(Member<u8>, Outbox<u8>, Packet<u8>, Ticket, NextPacket<'static, u8>, Delivery: Send + Debug);
assert_impl!(NextPacket<'static, u8>: Future);
assert_impl!(DeadPacket<u8>: Clone + Send + Sync + Debug + Display);
assert_impl!(
    PacketEvent<u8>, Roster, Acks, MemberSnapshot, DirectorSnapshot, MemberReport, LeaveReport, DirectorReport:
    Debug + Clone + PartialEq + Eq + Send + Sync
);
assert_impl!(Epoch, PacketKind, MemberStatus: Debug + Clone + Copy + PartialEq + Eq + Hash + Display);
assert_impl!(AckError, JoinError, SendError<std::rc::Rc<u8>>: Error);
assert_impl!(dyn Node<u8>: Send);

// Pointers to sinks are sinks, whether the sink is sized or not.
assert_impl!(
    &'static dyn Sink<u8>, Box<dyn Sink<u8>>, Arc<dyn Sink<u8>>, Box<Queue<u8>>, Arc<Channel<u8>>, Journal<u8>, &'static Noop<u8>,
    Arc<Box<dyn Sink<u8>>>, Filter<u8, Arc<dyn Sink<u8>>, fn(&u8) -> bool>:
    Sink<u8>
);

#[test]
fn sink_handler_and_stage_are_dyn_compatible() {
    struct Ignore;
    impl Handler<u8> for Ignore {
        fn handle(&mut self, _: u8) -> Result<(), BoxError> {
            Ok(())
        }
    }
    impl LaneWrite<u8> for Ignore {
        fn offer(&mut self, _: u8, _: Deadline) -> Result<Disposition, WriteError<u8>> {
            Ok(Disposition::Delivered)
        }
        fn inner(&self) -> Option<&dyn InnerLane> {
            None
        }

        fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
            None
        }
    }
    let sinks: Vec<Box<dyn Sink<u8>>> = vec![Box::new(buslane::noop()), Box::new(Arc::new(buslane::noop()))];
    assert!(sinks.iter().all(|sink| sink.write(1).is_ok()));
    let mut handler: Box<dyn Handler<u8>> = Box::new(Ignore);
    assert!(handler.handle(1).is_ok());
    let mut stage: Box<dyn LaneWrite<u8>> = Box::new(Ignore);
    assert!(stage.offer(1, Deadline::NOW).is_ok());
}

#[test]
fn receiver_and_lane_of_non_sync_events_are_send() {
    let (channel, mut receiver) = Channel::<Lonely>::lossy(4).unwrap();
    let mut lane = channel.lane().unwrap().unwrap();
    let reader = std::thread::spawn(move || receiver.iter().map(Cell::into_inner).sum::<u64>());
    let writer =
        std::thread::spawn(move || (1..=3).all(|n| lane.push(Cell::new(n), Deadline::NEVER).is_ok()));
    assert!(writer.join().unwrap());
    channel.close();
    assert_eq!(reader.join().unwrap(), 6);
}

#[test]
fn error_and_debug_texts_never_contain_the_event() {
    let secret = || String::from("hunter2");
    let failed = WriteError::Failed { event: secret(), source: BoxError::from("no disk") };
    let mut texts = vec![format!("{failed:?} {failed}"), format!("{:?}", mpmc::PushError::Full(secret()))];
    for error in [
        WriteError::Full(secret()),
        WriteError::Closed(secret()),
        WriteError::Timeout(secret()),
        WriteError::Reentrant(secret()),
    ] {
        texts.push(format!("{error:?} {error}"));
    }
    let (channel, receiver) = Channel::lossy(4).unwrap();
    channel.write(secret()).unwrap();
    texts.push(format!("{channel:?} {receiver:?} {:?} {:?}", Closed(secret()), channel.state()));
    assert!(texts.iter().all(|text| !text.contains("hunter2")), "{texts:?}");
}
