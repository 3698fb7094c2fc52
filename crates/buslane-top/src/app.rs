//! The loop of the screen.

use crate::arguments::Arguments;
use crate::choose::{Choice, choose};
use crate::failure::Failure;
use crate::keys::action;
use crate::messages::{Message, Messages};
use crate::model::Model;
use crate::palette::Palette;
use crate::service::{Found, find, has_bus};
use crate::signals::exit_code;
use crate::source::live::follow;
use crate::source::replay::Replay;
use crate::source::{Recorder, Update};
use crate::state::{Next, State};
use crate::table::Table;
use crate::terminal::Screen;
use crate::view::{self, Status};
use buslane_inspect::Frame;
use ratatui::crossterm::event::Event;
use std::thread;
use std::time::Instant;

/// The most messages that are taken in between two drawings.
const AT_ONCE: usize = 64;

/// Shows a service until the user quits. Returns the exit code.
///
/// # Errors
/// When the service does not answer at the start, or the terminal fails.
pub(crate) fn run(arguments: Arguments) -> Result<u8, Failure> {
    // What can fail fails before the screen opens, but for a service that is still to be chosen.
    let begun = match &arguments.replay {
        Some(path) => {
            let mut replay = Replay::open(path)?;
            let first = replay.first()?;
            has_bus(&first, arguments.bus.as_deref())?;
            Begun::Replay(Box::new((replay, first)))
        }
        None => Begun::Services(find(arguments.target.as_deref())?),
    };
    if let Begun::Services(Found::One(service)) = &begun {
        has_bus(&service.frame, arguments.bus.as_deref())?;
    }
    let recorder = arguments.output.as_deref().map(Recorder::open).transpose()?;
    let palette = Palette::from_environment();
    let mut screen = Screen::open().map_err(Failure::new)?;
    let messages = Messages::listen()?;
    let every = arguments.every;
    let mut model = Model::default();
    match begun {
        Begun::Replay(recording) => {
            let (replay, first) = *recording;
            model.apply(Update::Frame(Box::new(first)), Instant::now());
            messages.run(move |send| {
                thread::sleep(every);
                replay.play(every, send);
            })?;
        }
        Begun::Services(found) => {
            let service = match found {
                Found::One(service) => service,
                Found::Several(candidates) => match choose(&candidates, &mut screen, &messages, palette)? {
                    Choice::Service(service) => service,
                    Choice::End(code) => return Ok(code),
                },
            };
            has_bus(&service.frame, arguments.bus.as_deref())?;
            messages.run(move |send| follow(service, every, recorder, send))?;
        }
    }
    let table = Table {
        bus: arguments.bus,
        sort: arguments.sort,
        is_reversed: arguments.reverse,
        ..Table::default()
    };
    let status = Status { every, is_replay: arguments.replay.is_some(), is_paused: false };
    App { state: State::new(table), live: model, frozen: None, status, palette }.show(&mut screen, &messages)
}

/// What the arguments name.
enum Begun {
    /// A recording, and its first frame.
    Replay(Box<(Replay, Frame)>),
    Services(Found),
}

struct App {
    state: State,
    live: Model,
    /// What the screen shows while it is paused. The live model continues in the meantime.
    frozen: Option<Box<Model>>,
    status: Status,
    palette: Palette,
}

impl App {
    fn show(&mut self, screen: &mut Screen, messages: &Messages) -> Result<u8, Failure> {
        loop {
            self.status.is_paused = self.frozen.is_some();
            let model = self.frozen.as_deref().unwrap_or(&self.live);
            let (state, status, palette) = (&mut self.state, self.status, self.palette);
            screen
                .draw(|frame| view::draw(frame, state, model, status, palette))
                .map_err(|error| Failure::new(format_args!("cannot write to the terminal: {error}")))?;
            let mut message = messages.next();
            for _ in 0..AT_ONCE {
                let Some(taken) = message else { break };
                if let Some(code) = self.take_in(taken, screen)? {
                    return Ok(code);
                }
                message = messages.waiting();
            }
        }
    }

    /// Takes a message in. Returns an exit code to end with.
    fn take_in(&mut self, message: Message, screen: &mut Screen) -> Result<Option<u8>, Failure> {
        match message {
            Message::Signal(signal) => return Ok(Some(exit_code(signal))),
            Message::NoInput(reason) => return Err(Failure::new(reason)),
            Message::Update(update) => self.live.apply(update, Instant::now()),
            Message::Input(Event::Key(key)) => {
                let Some(action) = action(key, self.state.is_typing()) else { return Ok(None) };
                let model = self.frozen.as_deref().unwrap_or(&self.live);
                match self.state.apply(action, model) {
                    Next::Draw => {}
                    Next::DrawAll => screen.clear().map_err(Failure::new)?,
                    Next::Pause if self.frozen.is_some() => self.frozen = None,
                    Next::Pause => self.frozen = Some(Box::new(self.live.clone())),
                    Next::Quit => return Ok(Some(0)),
                }
            }
            Message::Input(_) => {}
        }
        Ok(None)
    }
}
