//! Type inference: code that compiles without an annotation. Only the closures name the event type.

use buslane::queue::Handler;
use buslane::retry::Backoff;
use buslane::{BoxError, Bus, Channel, Journal, Queue, Sink, SinkExt, WriteError, noop, sink_fn};
use std::sync::Arc;
use std::time::Duration;

struct Total;

impl Sink<u32> for Total {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        Ok(())
    }
}

struct Printing;

impl Handler<u32> for Printing {
    fn handle(&mut self, _event: u32) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Each sink alone determines the event type of its bus. Nothing is published.
#[test]
fn sink_decides_the_type_of_the_bus() -> Result<(), BoxError> {
    let bus = Bus::new();
    bus.add(sink_fn(|n: &u32| println!("{n}")))?;
    let bus = Bus::new();
    bus.add(sink_fn(|n: &u32| if *n > 0 { Ok(()) } else { Err("zero") }))?;
    let bus = Bus::new();
    bus.add(sink_fn(|text: &String| println!("{text}")).queue(8)?)?;
    let bus = Bus::new();
    bus.add(Queue::builder().spawn(|n: u32| println!("{n}"))?)?;
    let bus = Bus::new();
    bus.add(Queue::builder().workers(2).spawn_each(|worker| move |n: u32| println!("{worker}: {n}"))?)?;
    let bus = Bus::new();
    bus.add(Queue::builder().workers(2).spawn_sink(sink_fn(|n: &u32| println!("{n}")))?)?;
    let bus = Bus::new();
    bus.add(Queue::builder().spawn_handler(Printing)?)?;
    let bus = Bus::new();
    bus.add(Total)?;
    let bus = Bus::new();
    bus.add(Arc::new(Total))?;
    let bus = Bus::new();
    bus.add(Total.queue(8)?)?;
    Ok(())
}

#[test]
fn chain_decides_the_type_of_the_bus() -> Result<(), BoxError> {
    let bus = Bus::new();
    bus.add(sink_fn(|n: &u32| println!("{n}")).filter(|n: &u32| *n > 1).sample(2).queue(8)?)?;
    let bus = Bus::new();
    bus.add(Total.map(|text: &String| text.len() as u32).queue(8)?)?;
    let bus = Bus::new();
    bus.add(Total.tee(Total).catch_panic().timeout(Duration::ZERO).rate_limit(1.0, 1))?;
    let bus = Bus::new();
    bus.add(
        sink_fn(|batch: &Vec<u32>| println!("{}", batch.len()))
            .batch(8)
            .age(Duration::from_secs(1))
            .queue(8)?,
    )?;
    let bus = Bus::new();
    bus.add(Total.retry(Backoff::default().max_attempts(2)).queue(8)?)?;
    let bus = Bus::new();
    bus.add(Total.retry_by_key(|n: &u32| n % 2, Backoff::default()).queue(8)?)?;
    let bus = Bus::new();
    let _attached = bus.attach(Total.inspect_fn(|n: &u32| println!("{n}")))?;
    Ok(())
}

/// A published or received event determines the type where no sink does.
#[test]
fn use_decides_where_no_sink_does() -> Result<(), BoxError> {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(8)?;
    let _ = bus.publish(7_u32)?;
    assert_eq!(receiver.recv()?, 7);

    let bus = Bus::new();
    bus.add(noop())?;
    let _ = bus.publisher().publish("event")?;

    let bus = Bus::new();
    let (channel, mut receiver) = Channel::lossy(8)?;
    bus.add(channel)?;
    let _ = bus.publish("event")?;
    assert_eq!(receiver.recv()?, "event");

    let bus = Bus::new();
    let journal = Journal::new(16)?;
    bus.add(journal)?;
    let _ = bus.publish(7_u32)?;

    let inner = Bus::new();
    inner.add(Total)?;
    let outer = Bus::new();
    outer.add(inner)?;

    let weak = {
        let bus = Bus::new();
        bus.add(Total)?;
        bus.downgrade()
    };
    assert!(weak.upgrade().is_none());
    Ok(())
}

/// No expression names the event type here, so the annotation is needed.
#[test]
fn annotation_is_needed_where_nothing_names_the_type() -> Result<(), BoxError> {
    let bus = Bus::<u32>::new();
    bus.add(noop())?;
    let bus = Bus::new();
    bus.add(noop::<u32>())?;
    let bus: Bus<u32> = Bus::new();
    assert!(!bus.has_sinks());
    let (_channel, receiver) = Channel::<u32>::lossy(8)?;
    drop(receiver);
    Ok(())
}
