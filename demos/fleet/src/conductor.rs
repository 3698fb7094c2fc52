//! The main process: starts the server, the services and the aggregator, makes the troubles, and
//! proves the result.

use crate::arrivals::{Arrival, Reader};
use crate::counts::Counts;
use crate::options::Options;
use crate::plan::{Chapter, Plan, Trouble};
use crate::report::{Finished, LifeCounts, Outcome};
use crate::request::{Life, name_of};
use crate::server::{self, Server};
use crate::{aggregator, request};
use demo_support::process::Process;
use demo_support::{Failure, Folder, Interrupt, Mark, Story, console};
use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often a condition is checked.
const POLL: Duration = Duration::from_millis(10);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// The time without a trouble between two of them.
const CALM: Duration = Duration::from_millis(300);
/// How long a killed service or server is away, and how long a service is stopped.
const ABSENCE: Duration = Duration::from_millis(700);
/// How long the server is stopped: longer than a service waits for an acknowledgment.
const OVERDUE: Duration = Duration::from_millis(2500);

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (interrupt, story, alarm) = Interrupt::with_story(options.json)?;
    if !server::is_there() {
        story.tell("fleet", format_args!("there is no nats-server in the path: nothing is shown"));
        return console::finish();
    }
    story.note(format_args!(
        "{} services, {} requests a second each; seed {}\n",
        options.services, options.rate, options.seed
    ));
    let mut stage = Stage::set(options, story, interrupt, alarm)?;
    stage.play()?;
    let (finished, story) = stage.finish()?;
    let outcome = Outcome::new(&finished);
    outcome.print(&story);
    outcome.verdict()?;
    console::finish()
}

/// A running service.
struct Service {
    life: Life,
    process: Process,
}

/// Everything that runs. What is dropped first ends first.
struct Stage<'a> {
    options: &'a Options,
    story: Story,
    interrupt: Interrupt,
    alarm: Receiver<()>,
    services: Vec<Service>,
    aggregator: Option<Process>,
    server: Server,
    reader: Reader,
    arrivals: Vec<Arrival>,
    /// The newest event of each life that has arrived, by the time of its publish.
    newest: HashMap<Life, u64>,
    /// The lines of the aggregator that were told.
    notes: usize,
    alerts: u64,
    gaps: u64,
    /// The lives that are over, and whether they ended as asked.
    over: Vec<(Life, bool)>,
    chapters: Vec<Chapter>,
    folder: Folder,
}

impl<'a> Stage<'a> {
    fn set(
        options: &'a Options,
        story: Story,
        interrupt: Interrupt,
        alarm: Receiver<()>,
    ) -> Result<Self, Failure> {
        let folder = Folder::create().map_err(|error| Failure::setup("cannot create a folder", error))?;
        let server = Server::start(Path::new(folder.path()))?;
        story.tell("server", format_args!("listens at {}", server.url()));
        let aggregator = start_aggregator(options, &server, &folder)?;
        let mut stage = Self {
            options,
            story,
            interrupt,
            alarm,
            services: Vec::new(),
            aggregator: Some(aggregator),
            server,
            reader: Reader::new(Path::new(folder.path())),
            arrivals: Vec::new(),
            newest: HashMap::new(),
            notes: 0,
            alerts: 0,
            gaps: 0,
            over: Vec::new(),
            chapters: Vec::new(),
            folder,
        };
        for service in 0..options.services {
            let service =
                u32::try_from(service).map_err(|error| Failure::setup("too many services", error))?;
            let started = stage.start_service(Life { service, life: 0 })?;
            stage.services.push(started);
        }
        stage.wait_for_all("arrive")?;
        Ok(stage)
    }

    fn start_service(&self, life: Life) -> Result<Service, Failure> {
        let name = name_of(life.service);
        let arguments = [
            ("--url", self.server.url()),
            ("--folder", self.folder.path().to_owned()),
            ("--service", life.service.to_string()),
            ("--life", life.life.to_string()),
            ("--rate", self.options.rate.to_string()),
            ("--seed", self.options.seed.to_string()),
        ];
        let arguments = arguments.iter().flat_map(|(option, value)| [*option, value]);
        let process = Process::of_this_program(&format!("the service {name}"), arguments)?;
        self.story.tell(name, format_args!("starts as process {}", process.id()));
        Ok(Service { life, process })
    }

    /// Plays chapters until the time is over and there was a trouble of each kind, or until Ctrl-C.
    fn play(&mut self) -> Result<(), Failure> {
        let (start, time) = (Instant::now(), Duration::from_secs(self.options.seconds.into()));
        for (index, chapter) in Plan::new(self.options.seed, self.options.services).enumerate() {
            self.pause_for(CALM)?;
            if self.interrupt.is_asked() || (index >= Trouble::ALL.len() && start.elapsed() >= time) {
                break;
            }
            match chapter.trouble {
                Trouble::Crash => self.crash(chapter.service)?,
                Trouble::Pause => self.pause(chapter.service)?,
                Trouble::Restart => self.restart(chapter.service)?,
                Trouble::ServerCrash => self.crash_server()?,
                Trouble::CrashInOutage => self.crash_in_outage(chapter.service)?,
                Trouble::ServerPause => self.pause_server()?,
                Trouble::AggregatorCrash => self.crash_aggregator()?,
            }
            let begin = Instant::now();
            self.wait_for_all("arrive again")?;
            let took = begin.elapsed().as_millis();
            self.story.tell_as(Mark::Good, "fleet", format_args!("events of all arrive, after {took} ms"));
            self.chapters.push(chapter);
        }
        if self.interrupt.is_asked() {
            self.story.tell("fleet", format_args!("ended early"));
        }
        Ok(())
    }

    fn crash(&mut self, service: usize) -> Result<(), Failure> {
        self.kill_service(service)?;
        self.pause_for(ABSENCE)?;
        self.start_next_life(service)
    }

    fn kill_service(&mut self, service: usize) -> Result<(), Failure> {
        let Service { life, process } = &mut self.services[service];
        let name = name_of(life.service);
        self.story.tell_as(Mark::Notice, name, format_args!("process {} is killed", process.id()));
        process.kill().map_err(|error| Failure::broken("cannot kill a service", error))?;
        self.over.push((*life, false));
        Ok(())
    }

    fn start_next_life(&mut self, service: usize) -> Result<(), Failure> {
        let life = self.services[service].life;
        self.services[service] = self.start_service(Life { life: life.life + 1, ..life })?;
        Ok(())
    }

    fn restart(&mut self, service: usize) -> Result<(), Failure> {
        let life = self.services[service].life;
        self.story.tell_as(Mark::Notice, name_of(life.service), format_args!("is asked to end"));
        let next = self.start_service(Life { life: life.life + 1, ..life })?;
        let ended = std::mem::replace(&mut self.services[service], next);
        let has_ended_well = ended.process.end(PATIENCE);
        self.over.push((life, true));
        if has_ended_well { Ok(()) } else { Err(Failure::Broken("a service did not end".into())) }
    }

    fn pause(&mut self, service: usize) -> Result<(), Failure> {
        let cannot = |error| Failure::broken("cannot stop or resume a service", error);
        let name = name_of(self.services[service].life.service);
        self.story.tell_as(Mark::Notice, name, format_args!("is stopped"));
        self.services[service].process.stop().map_err(cannot)?;
        self.pause_for(ABSENCE)?;
        self.story.tell(name, format_args!("is resumed"));
        self.services[service].process.resume().map_err(cannot)
    }

    fn crash_in_outage(&mut self, service: usize) -> Result<(), Failure> {
        self.kill_server()?;
        self.pause_for(ABSENCE)?;
        self.kill_service(service)?;
        self.server.start_again()?;
        self.story.tell("server", format_args!("is there again, with its store"));
        self.start_next_life(service)
    }

    fn crash_server(&mut self) -> Result<(), Failure> {
        self.kill_server()?;
        self.pause_for(ABSENCE)?;
        self.server.start_again()?;
        self.story.tell("server", format_args!("is there again, with its store"));
        Ok(())
    }

    fn kill_server(&mut self) -> Result<(), Failure> {
        let process = self.server.process()?;
        let id = process.id();
        process.kill().map_err(|error| Failure::broken("cannot kill the server", error))?;
        self.story.tell_as(Mark::Notice, "server", format_args!("process {id} is killed"));
        Ok(())
    }

    fn pause_server(&mut self) -> Result<(), Failure> {
        let cannot = |error| Failure::broken("cannot stop or resume the server", error);
        self.server.process()?.stop().map_err(cannot)?;
        self.story.tell_as(Mark::Notice, "server", format_args!("is stopped"));
        self.pause_for(OVERDUE)?;
        self.server.process()?.resume().map_err(cannot)?;
        self.story.tell("server", format_args!("is resumed"));
        Ok(())
    }

    fn crash_aggregator(&mut self) -> Result<(), Failure> {
        if let Some(mut aggregator) = self.aggregator.take() {
            let id = aggregator.id();
            aggregator.kill().map_err(|error| Failure::broken("cannot kill the aggregator", error))?;
            self.story.tell_as(Mark::Notice, "aggregator", format_args!("process {id} is killed"));
        }
        self.pause_for(ABSENCE)?;
        let aggregator = start_aggregator(self.options, &self.server, &self.folder)?;
        self.story.tell("aggregator", format_args!("starts again as process {}", aggregator.id()));
        self.aggregator = Some(aggregator);
        Ok(())
    }

    /// Reads what has arrived and what the aggregator tells.
    fn look(&mut self) -> Result<(), Failure> {
        let cannot = |error| Failure::broken("cannot read the files of the aggregator", error);
        for arrival in self.reader.read().map_err(cannot)? {
            let newest = self.newest.entry(arrival.request.life).or_default();
            *newest = (*newest).max(arrival.request.at);
            self.arrivals.push(arrival);
        }
        let path = aggregator::notes(Path::new(self.folder.path()));
        let notes = std::fs::read_to_string(path).unwrap_or_default();
        // A line is whole when its end is there.
        let whole = notes.rfind('\n').map_or("", |end| &notes[..=end]);
        for note in whole.lines().skip(self.notes) {
            let (kind, text) = note.split_once(": ").unwrap_or((note, ""));
            let mark = match kind {
                "alert" => Mark::Bad,
                "gap" => Mark::Notice,
                _ => Mark::Neutral,
            };
            self.alerts += u64::from(kind == "alert");
            self.gaps += u64::from(kind == "gap");
            self.story.tell_as(mark, "aggregator", format_args!("{kind}: {text}"));
            self.notes += 1;
        }
        Ok(())
    }

    /// Waits until an event of each service that was published from now on has arrived.
    fn wait_for_all(&mut self, what: &str) -> Result<(), Failure> {
        let since = request::now();
        self.wait(what, PATIENCE, |stage| {
            for service in &mut stage.services {
                if let Some(status) = service.process.ended() {
                    let name = name_of(service.life.service);
                    return Err(Failure::Broken(format!("the service {name} has ended: {status}")));
                }
            }
            if let Some(status) = stage.aggregator.as_mut().and_then(Process::ended) {
                return Err(Failure::Broken(format!("the aggregator has ended: {status}")));
            }
            let newest = |service: &Service| stage.newest.get(&service.life).copied().unwrap_or_default();
            Ok(stage.services.iter().all(|service| newest(service) > since))
        })
    }

    /// Waits for a time, which an early end cuts short.
    fn pause_for(&mut self, time: Duration) -> Result<(), Failure> {
        let begin = Instant::now();
        self.wait("is over", PATIENCE, |stage| Ok(stage.interrupt.is_asked() || begin.elapsed() >= time))
    }

    fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        mut holds: impl FnMut(&mut Self) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        loop {
            self.look()?;
            if holds(self)? {
                return Ok(());
            }
            if begin.elapsed() > limit {
                return Err(Failure::Broken(format!("waited {limit:?} in vain until events of all {what}")));
            }
            match self.alarm.recv_timeout(POLL) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                // The alarm is pending for ever only when its sender is gone, and it never is.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
            }
        }
    }

    /// Ends the services, waits until the aggregator has everything, and ends it, too.
    fn finish(mut self) -> Result<(Finished, Story), Failure> {
        let mut ended_well = true;
        for Service { life, process } in std::mem::take(&mut self.services) {
            ended_well &= process.end(PATIENCE);
            self.over.push((life, true));
        }
        let (stored, last) = self.server.stored()?;
        self.wait("that are stored arrive", PATIENCE, |stage| {
            Ok(stage.arrivals.iter().any(|arrival| arrival.sequence == last))
        })?;
        let folder = Path::new(self.folder.path()).to_owned();
        ended_well &= self.aggregator.take().is_some_and(|aggregator| aggregator.end(PATIENCE));
        // What it has read since, and told.
        self.look()?;
        let cannot = |error| Failure::broken("cannot read the counts", error);
        let mut lives = Vec::new();
        for (life, is_asked) in self.over {
            let counts = Counts::read(&folder, life).map_err(cannot)?;
            lives.push(LifeCounts { life, counts, is_asked });
        }
        let text = std::fs::read_to_string(aggregator::percentiles(&folder)).map_err(cannot)?;
        let percentiles = serde_json::from_str(&text)
            .map_err(|error| Failure::broken("cannot read the percentiles", error))?;
        let finished = Finished {
            interrupted: self.interrupt.is_asked(),
            chapters: self.chapters,
            lives,
            arrivals: self.arrivals,
            stored,
            alerts: self.alerts,
            gaps: self.gaps,
            percentiles,
            ended_well,
        };
        Ok((finished, self.story))
    }
}

fn start_aggregator(options: &Options, server: &Server, folder: &Folder) -> Result<Process, Failure> {
    let (url, rate) = (server.url(), options.rate.to_string());
    let arguments = ["--url", &url, "--folder", folder.path(), "--rate", &rate];
    Process::of_this_program("the aggregator", arguments)
}
