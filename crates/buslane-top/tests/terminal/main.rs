//! The program in a real terminal: a pseudo-terminal of tmux, and pipes.
//!
//! Without tmux those tests that need it are skipped, and one line says so. `bash .ci/terminal`
//! installs it where that is possible, and fails where one of them is skipped.
#![cfg(unix)]

mod connection;
mod example;
mod failures;
mod figures;
mod folder;
mod keys;
mod once;
mod program;
mod recording;
mod service;
mod tmux;
