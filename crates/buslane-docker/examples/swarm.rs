//! What Docker Swarm does with the events of each engine: a handler for each kind of event, and a
//! refresh of everything when it connects. Swarm also refreshes every minute, since it cannot know
//! whether it missed something. A gap says so.
//!
//! Reads from the engine of `DOCKER_HOST`, or the local one, until its standard input ends.

use buslane::Queue;
use buslane::source::{Monitor, Update};
use buslane_docker::{Action, DockerEvent, DockerSource, Kind};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let handler = |update: Update<DockerEvent>| match update {
        Update::Event(event) => match (event.kind(), event.action()) {
            // These change nothing that a scheduler knows of a container.
            (Kind::Container, Action::Top | Action::Attach | Action::Resize) => {}
            (Kind::Container, Action::ExecCreate | Action::ExecStart) => {}
            (Kind::Container, Action::Destroy) => println!("forget container {}", event.id()),
            (Kind::Container, _) => println!("refresh container {}", event.id()),
            (Kind::Image | Kind::Network | Kind::Volume, _) => println!("refresh {}s", event.kind()),
            (Kind::Daemon, Action::Reload) => println!("refresh labels of the engine"),
            _ => {}
        },
        Update::Connected { resumed: false } => println!("refresh everything: connected"),
        Update::Gap(gap) => println!("refresh everything: {gap}"),
        _ => {}
    };
    let source = DockerSource::builder().build()?;
    let monitor = Monitor::builder(source).spawn(Queue::builder().spawn(handler)?)?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    println!("{}", monitor.stop());
    Ok(())
}
