//! The main process: starts the hub, the nodes and their clients, makes the troubles, and proves the
//! result.

use crate::change::includes;
use crate::client::Client;
use crate::hub::Hub;
use crate::options::Options;
use crate::plan::{Chapter, Plan, Trouble};
use crate::report::{Ended, Finished, Outcome};
use crate::wire::Status;
use crate::writers::Writers;
use demo_support::process::Process;
use demo_support::{Failure, Interrupt, Mark, Story, console};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often a condition is checked.
const POLL: Duration = Duration::from_millis(5);
/// How long the nodes may take to start, to be in step again, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a node may take to answer the conductor.
const LIMIT: Duration = Duration::from_secs(2);
/// The time without a trouble between two of them.
const CALM: Duration = Duration::from_millis(150);
/// Changes that are made by other nodes while a crashed one is away.
const ABSENCE: u64 = 40;
/// Deliveries to a paused node that time out before it is resumed.
const TIMEOUTS: u64 = 2;

/// The names of the nodes.
const NAMES: [&str; 16] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (interrupt, story, alarm) = Interrupt::with_story(options.json)?;
    story.note(format_args!(
        "{} nodes, {} writes a second; the hub keeps {} changes; seed {}\n",
        options.nodes, options.rate, options.history, options.seed
    ));
    let mut stage = Stage::set(options, story, interrupt, alarm)?;
    stage.play()?;
    let (finished, story) = stage.finish()?;
    let outcome = Outcome::new(finished);
    outcome.print(&story);
    outcome.verdict()?;
    console::finish()
}

/// Everything that runs. What is dropped first ends first: no node outlives the hub.
struct Stage<'a> {
    options: &'a Options,
    story: Story,
    interrupt: Interrupt,
    alarm: Receiver<()>,
    client: Client,
    writers: Writers,
    nodes: Vec<Process>,
    hub: Hub,
    /// The troubles that are over.
    chapters: Vec<Chapter>,
}

impl<'a> Stage<'a> {
    /// Starts the hub, all nodes and their clients.
    fn set(
        options: &'a Options,
        story: Story,
        interrupt: Interrupt,
        alarm: Receiver<()>,
    ) -> Result<Self, Failure> {
        let hub = Hub::open(options, story.clone())?;
        let writers = Writers::start(options.seed, options.nodes, options.rate.get())?;
        let (client, nodes, chapters) = (Client::new(), Vec::new(), Vec::new());
        let mut stage = Self { options, story, interrupt, alarm, client, writers, nodes, hub, chapters };
        for (node, name) in NAMES.into_iter().enumerate().take(options.nodes) {
            let process = start(name, stage.hub.url())?;
            stage.story.tell(name, format_args!("starts as process {}", process.id()));
            stage.nodes.push(process);
            stage.admit(node)?;
        }
        Ok(stage)
    }

    /// Waits until a node that was started is a member, and lets its client write.
    fn admit(&mut self, node: usize) -> Result<(), Failure> {
        self.wait(node, "is a member", false, PATIENCE, |stage| match stage.nodes[node].ended() {
            Some(status) => Err(Failure::Broken(format!("{} ended when it started: {status}", NAMES[node]))),
            None => Ok(stage.hub.url_of(NAMES[node]).is_some()),
        })?;
        self.writers.set_url(node, self.hub.url_of(NAMES[node]));
        Ok(())
    }

    /// Plays chapters until the time is over and there was a trouble of each kind, or until Ctrl-C.
    fn play(&mut self) -> Result<(), Failure> {
        let (start, time) = (Instant::now(), Duration::from_secs(self.options.seconds.into()));
        for (index, chapter) in Plan::new(self.options.seed, self.options.nodes).enumerate() {
            let calm = Instant::now();
            self.wait(chapter.node, "has had its calm", true, PATIENCE, |_| Ok(calm.elapsed() >= CALM))?;
            if self.interrupt.is_asked() || (index >= Plan::KINDS && start.elapsed() >= time) {
                break;
            }
            self.hub.set_aside(NAMES[chapter.node], true);
            match chapter.trouble {
                Trouble::Crash => self.crash(chapter.node)?,
                Trouble::Pause => self.pause(chapter.node)?,
                Trouble::Stall => self.stall(chapter.node)?,
            }
            self.catch_up(chapter.node)?;
            self.hub.set_aside(NAMES[chapter.node], false);
            self.chapters.push(chapter);
            self.mark()?;
        }
        if self.interrupt.is_asked() {
            self.story.tell("hub", format_args!("ended early"));
        }
        Ok(())
    }

    /// Kills a node, and starts it again after the others have made some changes.
    fn crash(&mut self, node: usize) -> Result<(), Failure> {
        let process = &mut self.nodes[node];
        self.story.tell_as(Mark::Notice, NAMES[node], format_args!("process {} is killed", process.id()));
        process.kill().map_err(|error| Failure::broken("cannot kill a node", error))?;
        self.writers.set_url(node, None);
        self.hub.forget(NAMES[node]);
        self.wait_for_changes(node, ABSENCE)?;
        let process = start(NAMES[node], self.hub.url())?;
        self.story.tell(NAMES[node], format_args!("starts again as process {}, without data", process.id()));
        self.nodes[node] = process;
        self.admit(node)
    }

    /// Stops a node until packets to it have timed out.
    fn pause(&mut self, node: usize) -> Result<(), Failure> {
        let enough = self.failures(node) + TIMEOUTS;
        self.stop(node)?;
        self.wait(node, "misses a packet", true, self.time_for(TIMEOUTS), |stage| {
            Ok(stage.failures(node) >= enough)
        })?;
        self.resume(node)
    }

    /// Stops a node until the hub must have dropped events that it missed.
    fn stall(&mut self, node: usize) -> Result<(), Failure> {
        self.stop(node)?;
        self.wait_for_changes(node, 2 * (self.options.history + self.options.packet.get()) as u64)?;
        self.resume(node)
    }

    fn stop(&self, node: usize) -> Result<(), Failure> {
        self.story.tell_as(Mark::Notice, NAMES[node], format_args!("is stopped"));
        self.nodes[node].stop().map_err(|error| Failure::broken("cannot stop a node", error))
    }

    fn resume(&self, node: usize) -> Result<(), Failure> {
        self.story.tell(NAMES[node], format_args!("is resumed"));
        self.nodes[node].resume().map_err(|error| Failure::broken("cannot resume a node", error))
    }

    /// Returns how many deliveries to a node have failed.
    fn failures(&self, node: usize) -> u64 {
        self.hub.traffic(NAMES[node]).0.failures
    }

    /// Waits until `count` more changes were accepted.
    fn wait_for_changes(&mut self, node: usize, count: u64) -> Result<(), Failure> {
        let enough = self.hub.accepted_count() + count;
        self.wait(node, "misses enough changes", true, self.time_for(count), |stage| {
            Ok(stage.hub.accepted_count() >= enough)
        })
    }

    /// Returns the longest time in which that many changes must be made.
    fn time_for(&self, changes: u64) -> Duration {
        PATIENCE + Duration::from_secs(4 * changes).div_f64(self.options.rate.get() as f64)
    }

    /// Waits until the data of a node includes all changes that are accepted now.
    fn catch_up(&mut self, node: usize) -> Result<(), Failure> {
        let required = self.hub.accepted();
        let begin = Instant::now();
        self.wait(node, "is in step again", false, PATIENCE, |stage| {
            Ok(stage.status(node).is_ok_and(|status| includes(&status.vector, &required)))
        })?;
        let took = begin.elapsed().as_millis();
        self.story.tell_as(Mark::Good, NAMES[node], format_args!("is in step again after {took} ms"));
        Ok(())
    }

    /// Asks all nodes to acknowledge everything until now.
    fn mark(&mut self) -> Result<(), Failure> {
        let missing = self.hub.mark(PATIENCE)?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::Broken(format!("no acknowledgment from {}", missing.join(", "))))
    }

    fn status(&self, node: usize) -> Result<Status, Failure> {
        self.read(node, "status")
    }

    /// Reads a part of a node's API.
    fn read<T: serde::de::DeserializeOwned>(&self, node: usize, what: &str) -> Result<T, Failure> {
        let name = NAMES[node];
        let url = self.hub.url_of(name).ok_or_else(|| Failure::Broken(format!("{name} is no member")))?;
        let answer = self.client.get(&format!("{url}/{what}"), LIMIT);
        answer.map_err(|error| Failure::broken(format!("cannot read the {what} of {name}"), error))
    }

    /// Waits until `holds`, and fails after `limit`. If it can be cut short, an early end of the demo
    /// cuts it short.
    fn wait(
        &mut self,
        node: usize,
        what: &str,
        can_be_cut_short: bool,
        limit: Duration,
        mut holds: impl FnMut(&mut Self) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        while !holds(self)? {
            if can_be_cut_short && self.interrupt.is_asked() {
                return Ok(());
            }
            if begin.elapsed() > limit {
                return Err(Failure::Broken(format!(
                    "waited {limit:?} in vain until {} {what}",
                    NAMES[node]
                )));
            }
            match self.alarm.recv_timeout(POLL) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                // The alarm is pending for ever only when its sender is gone, and it never is.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
            }
        }
        Ok(())
    }

    /// Ends the clients, waits until all nodes are in step, reads their data, and ends everything.
    fn finish(mut self) -> Result<(Finished, Story), Failure> {
        let written = std::mem::take(&mut self.writers).finish();
        let required = self.hub.accepted();
        for node in 0..self.nodes.len() {
            self.wait(node, "is in step at the end", false, PATIENCE, |stage| {
                Ok(stage.status(node).is_ok_and(|status| includes(&status.vector, &required)))
            })?;
        }
        self.mark()?;
        let mut nodes = Vec::new();
        for (node, name) in NAMES.into_iter().enumerate().take(self.nodes.len()) {
            let (status, state) = (self.read(node, "status")?, self.read(node, "state")?);
            let (traffic, last) = self.hub.traffic(name);
            nodes.push(Ended { name, status, state, traffic, last, ended_well: false });
        }
        let (record, director) = self.hub.close(PATIENCE);
        // The nodes end after the director, so that none of its packets fails.
        for (node, process) in nodes.iter_mut().zip(self.nodes) {
            node.ended_well = process.end(PATIENCE);
        }
        let (interrupted, chapters) = (self.interrupt.is_asked(), self.chapters);
        Ok((Finished { interrupted, chapters, written, record, nodes, director }, self.story))
    }
}

/// Starts this program as a node.
fn start(name: &str, hub: &str) -> Result<Process, Failure> {
    Process::of_this_program(&format!("the node {name}"), ["--name", name, "--hub", hub])
}
