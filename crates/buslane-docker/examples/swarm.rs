//! What Docker Swarm does with the events of each engine: a handler for each kind of event, and a
//! refresh of everything when it connects. Swarm also refreshes every minute, since it cannot know
//! whether it missed something. A gap says so.
//!
//! Reads from the engine of `DOCKER_HOST`, or the local one, until its standard input ends.

use buslane::Queue;
use buslane::source::{Monitor, Update};
use buslane_docker::{Action, DockerEvent, DockerSource, Kind};
use std::error::Error;
use std::io;

fn refresh(what: &str) {
    println!("refresh {what}");
}

fn handle_event(event: &DockerEvent) {
    match (event.kind(), event.action()) {
        // These change nothing that a scheduler knows of a container.
        (
            Kind::Container,
            Action::Top | Action::Attach | Action::Resize | Action::ExecCreate | Action::ExecStart,
        ) => {}
        (Kind::Container, Action::Destroy) => println!("forget container {}", event.id()),
        (Kind::Container, _) => refresh(&format!("container {}", event.id())),
        (Kind::Image, _) => refresh("images"),
        (Kind::Network, _) => refresh("networks"),
        (Kind::Volume, _) => refresh("volumes"),
        (Kind::Daemon, Action::Reload) => refresh("labels of the engine"),
        _ => {}
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let handler = |update| match update {
        Update::Event(event) => handle_event(&event),
        Update::Connected { resumed: false } => refresh("everything: connected"),
        Update::Gap(gap) => refresh(&format!("everything: {gap}")),
        _ => {}
    };
    let monitor =
        Monitor::builder(DockerSource::builder().build()?).spawn(Queue::builder().spawn(handler)?)?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    println!("{}", monitor.stop());
    Ok(())
}
