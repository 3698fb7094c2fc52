//! The sinks of a running buslane event bus in a terminal.
//!
//! The modules, each of which uses only those above it:
//!
//! | module | what it holds |
//! |---|---|
//! | `text`, `palette`, `reasons`, `failure` | texts in a fixed width, styles, why events are lost, why the program ends early |
//! | `terminal`, `signals` | the screen and how it is restored, signals as messages |
//! | `service` | which service to show |
//! | `source` | frames, of a service or of a recording |
//! | `model` | the last frame, rates and histories |
//! | `column`, `table` | what the table shows, in which order |
//! | `arguments` | the command line |
//! | `keys`, `state` | what a key does, and what the user has chosen |
//! | `view` | draws the model and the state |
//! | `messages`, `choose`, `app`, `once` | the loop of the screen, and a single frame |

mod app;
mod arguments;
mod choose;
mod column;
mod failure;
mod keys;
mod messages;
mod model;
mod once;
mod palette;
mod reasons;
mod service;
mod signals;
mod source;
mod state;
mod table;
mod terminal;
mod text;
mod view;

#[cfg(test)]
#[expect(dead_code, reason = "the tests of the whole program use all of it")]
#[path = "../tests/terminal/folder.rs"]
mod folder;
#[cfg(test)]
#[expect(dead_code, reason = "the tests of the whole program use all of it")]
#[path = "../tests/terminal/tmux.rs"]
mod tmux;

use arguments::Arguments;
use clap::Parser;
use std::io::{Write, stderr};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.once { once::run(arguments) } else { app::run(arguments) };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // Standard error may be closed.
            let _ = writeln!(stderr(), "buslane-top: {failure}");
            ExitCode::FAILURE
        }
    }
}
