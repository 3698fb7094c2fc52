//! What the scripted engine does: a day of three containers, with every kind of trouble.

use crate::board::Board;
use crate::record::Sent;
use buslane_docker::testing::{Answer, Cut, Endpoint, Framing, ScriptedEngine, ScriptedEvent};
use demo_support::{Failure, Interrupt, Mark};

/// Events that are more than the history of an engine holds.
const TOO_MANY: usize = 300;
/// Events that it holds.
const SOME: usize = 40;

/// The scripted engine, and everything that it sent.
pub(crate) struct Script<'a> {
    engine: ScriptedEngine,
    board: &'a Board,
    interrupt: &'a Interrupt,
    sent: Vec<Sent>,
    /// The time of the last event.
    last: u64,
}

impl<'a> Script<'a> {
    pub(crate) fn start(board: &'a Board, interrupt: &'a Interrupt) -> Result<Self, Failure> {
        let engine =
            ScriptedEngine::start().map_err(|error| Failure::setup("cannot start the engine", error))?;
        Ok(Self { engine, board, interrupt, sent: Vec::new(), last: 0 })
    }

    pub(crate) fn host(&self) -> String {
        self.engine.host()
    }

    /// Returns everything that the engine sent, in order.
    pub(crate) fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// Plays what happens until the demo ends for a moment. Returns `false` after Ctrl-C.
    pub(crate) fn play(&mut self) -> Result<bool, Failure> {
        self.engine.wait_streams(1);
        let acts = [
            Self::begin,
            Self::cut_inside_an_event,
            Self::send_single_bytes,
            Self::end_properly,
            Self::close_the_socket,
            Self::overrun_the_history,
            Self::restart,
            Self::send_garbage,
        ];
        for act in acts {
            act(self)?;
            if !self.is_shown()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Plays what happens while no monitor is there.
    pub(crate) fn play_alone(&mut self) {
        self.tell("no client is there while 20 events happen");
        self.checks("cache", SOME / 2);
    }

    /// Plays the end. Returns `false` after Ctrl-C.
    pub(crate) fn play_end(&mut self) -> Result<bool, Failure> {
        self.engine.wait_streams(1);
        self.tell("the containers are stopped and removed");
        for (name, code) in [("web", "0"), ("cache", "137")] {
            self.container("kill", name, &[("signal", "15")]);
            self.container("die", name, &[("exitCode", code)]);
            self.container("stop", name, &[]);
        }
        for name in ["web", "db", "cache"] {
            self.container("destroy", name, &[]);
        }
        self.is_shown()
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.tell("three containers are created and started");
        self.emit(ScriptedEvent::new("image", "pull", "nginx:1.25").attribute("name", "nginx"));
        self.emit(ScriptedEvent::new("network", "create", "9f1d").attribute("name", "front"));
        self.emit(ScriptedEvent::new("volume", "create", "data").attribute("driver", "local"));
        for name in ["web", "db", "cache"] {
            self.container("create", name, &[]);
            self.container("start", name, &[]);
        }
        self.container("exec_create: nginx -s reload", "web", &[]);
        self.container("exec_start: nginx -s reload", "web", &[]);
        self.container("health_status: healthy", "web", &[]);
        Ok(())
    }

    fn cut_inside_an_event(&mut self) -> Result<(), Failure> {
        for (cut, name) in [
            (Cut::MidObject, "half of an event"),
            (Cut::MidChunk, "half of a chunk"),
            (Cut::MidCharacter, "half of a character"),
        ] {
            self.tell(&format!("the connection is cut after {name}"));
            let event = container("die", "db", &[("exitCode", "1"), ("note", "größer")]);
            let time = self.engine.emit_cut(event.clone(), cut);
            self.note(event, time);
            self.engine.wait_streams(1);
            self.container("start", "db", &[]);
            if !self.is_shown()? {
                break;
            }
        }
        Ok(())
    }

    fn send_single_bytes(&mut self) -> Result<(), Failure> {
        self.tell("events come in chunks of one byte");
        self.engine.set_framing(Framing::SingleBytes);
        self.checks("web", 3);
        self.engine.set_framing(Framing::NoNewlines);
        Ok(())
    }

    fn end_properly(&mut self) -> Result<(), Failure> {
        self.tell("the stream ends, and the next request is answered with status 500");
        self.engine.answer_next(Endpoint::Events, Answer::Status(500, "out of memory".to_owned()));
        self.engine.end();
        self.checks("web", 3);
        self.engine.wait_streams(1);
        Ok(())
    }

    fn close_the_socket(&mut self) -> Result<(), Failure> {
        self.tell(&format!("the socket is closed while {SOME} events happen"));
        self.engine.stop();
        self.checks("web", SOME);
        self.listen()
    }

    fn overrun_the_history(&mut self) -> Result<(), Failure> {
        self.tell(&format!("the socket is closed while {TOO_MANY} events happen, of which 256 are kept"));
        self.engine.stop();
        self.checks("cache", TOO_MANY);
        self.listen()
    }

    fn restart(&mut self) -> Result<(), Failure> {
        self.tell("the engine restarts, and has forgotten 4 events");
        self.engine.stop();
        self.checks("db", 4);
        self.engine.clear_history();
        self.listen()?;
        self.emit(ScriptedEvent::new("daemon", "reload", "engine").attribute("name", "scripted"));
        Ok(())
    }

    fn send_garbage(&mut self) -> Result<(), Failure> {
        self.tell("the engine sends a value that is no event");
        self.engine.send(b"[\"no event\"]\n");
        self.sent.push(Sent::Garbage);
        self.checks("web", 2);
        Ok(())
    }

    fn listen(&self) -> Result<(), Failure> {
        self.engine.listen().map_err(|error| Failure::broken("cannot listen", error))?;
        self.engine.wait_streams(1);
        Ok(())
    }

    /// Checks the health of a container a number of times.
    fn checks(&mut self, name: &str, count: usize) {
        for _ in 0..count {
            self.container("health_status: healthy", name, &[]);
        }
    }

    fn container(&mut self, action: &str, name: &str, attributes: &[(&str, &str)]) {
        self.emit(container(action, name, attributes));
    }

    fn emit(&mut self, event: ScriptedEvent) {
        let time = self.engine.emit(event.clone());
        self.note(event, time);
    }

    fn note(&mut self, event: ScriptedEvent, time: u64) {
        self.last = time;
        self.sent.push(Sent::Event(event.at(time)));
    }

    fn is_shown(&self) -> Result<bool, Failure> {
        self.board
            .wait(self.interrupt, "the last event of the engine", |shown| shown.record.has_time(self.last))
    }

    fn tell(&self, what: &str) {
        self.board.tell(Mark::Neutral, "engine", format_args!("{what}"));
    }
}

fn container(action: &str, name: &str, attributes: &[(&str, &str)]) -> ScriptedEvent {
    let image = match name {
        "web" => "nginx:1.25",
        "db" => "postgres:16",
        _ => "redis:7",
    };
    let event = ScriptedEvent::new("container", action, format!("{name}c0ffee")).attribute("name", name);
    attributes
        .iter()
        .fold(event.attribute("image", image), |event, (name, value)| event.attribute(*name, *value))
}
