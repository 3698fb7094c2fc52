//! One run: follows an engine until the end, and reports.

use crate::board::Board;
use crate::follower::{Followed, Follower};
use crate::options::Options;
use crate::record::Record;
use crate::report::Outcome;
use crate::script::Script;
use crate::token_file::TokenFile;
use buslane::retry::Backoff;
use buslane::source::MonitorState;
use buslane_docker::{DockerSource, DockerSourceBuilder, Filter, Kind};
use demo_support::{Failure, Interrupt, Mark, Story, console};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often the state of the monitor is checked.
const INTERVAL: Duration = Duration::from_millis(500);

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    // The main thread parks while it waits for the end.
    let main = thread::current();
    let interrupt = Interrupt::listen({
        let main = main.clone();
        move || main.unpark()
    })?;
    let end = interrupt.clone();
    let story = Story::start(options.json, move || {
        end.ask();
        main.unpark();
    });
    let record = if options.fake { Record::complete() } else { Record::default() };
    let board = Arc::new(Board::new(story.clone(), record, options.json));
    let run = if options.fake { follow_script } else { follow_engine };
    let outcome = run(options, &board, &interrupt);
    board.clear();
    let outcome = outcome?;
    outcome.print(&board.shown().containers, &story);
    outcome.verdict()?;
    console::finish()
}

/// Follows a real engine until Ctrl-C, or for some seconds.
fn follow_engine(options: &Options, board: &Arc<Board>, interrupt: &Interrupt) -> Result<Outcome, Failure> {
    let file = options.token.as_deref().map(|path| TokenFile::at(Some(path)));
    let mut source = DockerSource::builder();
    if let Some(host) = &options.host {
        source = source.host(host);
    }
    if !options.kinds.is_empty() {
        let filter =
            options.kinds.iter().fold(Filter::new(), |filter, kind| filter.kind(Kind::from_name(kind)));
        // Events of the other kinds prove that none is missing.
        source = source.filter(filter).filter_here();
    }
    let follower = Follower::start(built(source)?, Backoff::default(), file.as_ref(), board)?;
    let until = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.get().into()));
    watch(&follower, board, until, interrupt);
    let followed = follower.stop();
    if followed.monitor.connects == 0 {
        let error = followed.monitor.last_error.as_deref().unwrap_or("it did not answer yet");
        return Err(Failure::setup("no engine was reached", error));
    }
    Ok(Outcome::new(vec![followed], &board.shown(), file.as_ref(), None, interrupt.is_asked()))
}

/// Waits for the end, and shows why there is no connection.
fn watch(follower: &Follower, board: &Board, until: Option<Instant>, interrupt: &Interrupt) {
    let mut told = String::new();
    loop {
        let wait =
            until.map_or(INTERVAL, |until| until.saturating_duration_since(Instant::now()).min(INTERVAL));
        if wait.is_zero() || interrupt.is_asked() {
            return;
        }
        thread::park_timeout(wait);
        match follower.monitor().state() {
            MonitorState::Waiting { error, .. } if error != told => {
                board.tell(Mark::Notice, "monitor", format_args!("no connection: {error}"));
                told = error;
            }
            MonitorState::Stopped(_) => return,
            _ => {}
        }
    }
}

/// Follows the scripted engine, by two monitors one after the other.
fn follow_script(_: &Options, board: &Arc<Board>, interrupt: &Interrupt) -> Result<Outcome, Failure> {
    let mut script = Script::start(board, interrupt)?;
    let file = TokenFile::at(None);
    let host = script.host();
    let start = || {
        let source = DockerSource::builder().host(&host).proof_wait(Duration::from_millis(200));
        let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
        Follower::start(built(source)?, backoff, Some(&file), board)
    };
    let first = start()?;
    let is_whole = script.play();
    let mut followed: Vec<Followed> = vec![first.stop()];
    if is_whole? {
        script.play_alone();
        board.tell(
            Mark::Neutral,
            "demo",
            format_args!("continues at the position in {}", file.path().display()),
        );
        let second = start()?;
        let is_whole = script.play_end();
        followed.push(second.stop());
        is_whole?;
    }
    let is_early = interrupt.is_asked();
    Ok(Outcome::new(followed, &board.shown(), Some(&file), Some(script.sent()), is_early))
}

fn built(source: DockerSourceBuilder) -> Result<DockerSource, Failure> {
    source.build().map_err(|error| Failure::setup("cannot follow the engine", error))
}
