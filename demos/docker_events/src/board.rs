//! What is shown: a line for each update, and the table of containers below the lines on a terminal.

use crate::containers::Containers;
use crate::record::Record;
use buslane::source::Update;
use buslane_docker::DockerEvent;
use demo_support::{Failure, Interrupt, Mark, Story};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rows of the table on a terminal.
const ROWS: usize = 12;
/// The longest wait for something to be shown.
const LIMIT: Duration = Duration::from_secs(30);

/// Shows updates, and remembers them.
pub(crate) struct Board {
    story: Story,
    /// Draws on standard error where that is a terminal, else nowhere.
    live: ProgressBar,
    state: Mutex<Shown>,
    changed: Condvar,
}

/// Everything that was shown.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) containers: Containers,
    pub(crate) record: Record,
    pub(crate) connects: u64,
    pub(crate) resumed: u64,
}

impl Board {
    pub(crate) fn new(story: Story, record: Record, is_json: bool) -> Self {
        let live = if is_json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        live.set_style(ProgressStyle::with_template("{msg}").expect("a template"));
        let state = Mutex::new(Shown { record, ..Shown::default() });
        Self { story, live, state, changed: Condvar::new() }
    }

    /// Returns what was shown.
    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows an update, and counts it.
    pub(crate) fn apply(&self, update: &Update<DockerEvent>) {
        match update {
            Update::Event(event) => {
                self.tell(Mark::Neutral, event.kind().as_str(), format_args!("{}", Line(event)));
                self.change(|shown| {
                    shown.record.event(event);
                    shown.containers.apply(event);
                });
            }
            Update::Gap(gap) => {
                self.tell(Mark::Notice, "gap", format_args!("{gap}"));
                self.change(|shown| {
                    shown.record.gap(*gap);
                    shown.containers.is_doubtful = true;
                });
            }
            Update::Connected { resumed } => {
                let what = if *resumed { "connected, and nothing is missing" } else { "connected" };
                self.tell(Mark::Good, "monitor", format_args!("{what}"));
                self.change(|shown| {
                    shown.connects += 1;
                    shown.resumed += u64::from(*resumed);
                });
            }
            Update::Disconnected(end) => self.tell(Mark::Neutral, "monitor", format_args!("{end}")),
            _ => {}
        }
    }

    /// Prints what happened.
    pub(crate) fn tell(&self, mark: Mark, part: &str, what: fmt::Arguments<'_>) {
        self.live.suspend(|| self.story.tell_as(mark, part, what));
    }

    /// Waits until a condition of what is shown holds. Returns `false` after Ctrl-C.
    pub(crate) fn wait(
        &self,
        interrupt: &Interrupt,
        what: &str,
        holds: impl Fn(&Shown) -> bool,
    ) -> Result<bool, Failure> {
        let begun = Instant::now();
        let mut shown = self.shown();
        while !holds(&shown) {
            if interrupt.is_asked() {
                return Ok(false);
            }
            if begun.elapsed() > LIMIT {
                return Err(Failure::broken("waited too long", what));
            }
            // Ctrl-C does not change what is shown.
            let waited = self.changed.wait_timeout(shown, Duration::from_millis(100));
            shown = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(true)
    }

    /// Removes the table from the terminal.
    pub(crate) fn clear(&self) {
        self.live.finish_and_clear();
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        let mut shown = self.shown();
        change(&mut shown);
        let table = (!self.live.is_hidden() && shown.containers.len() > 0).then(|| {
            let doubt = if shown.containers.is_doubtful {
                "\nevents may be missing, so a state may be old"
            } else {
                ""
            };
            format!("\n{}{doubt}", shown.containers.table(ROWS))
        });
        drop(shown);
        self.changed.notify_all();
        if let Some(table) = table {
            self.live.set_message(table);
            self.live.tick();
        }
    }
}

/// One event as a line, without its kind.
struct Line<'a>(&'a DockerEvent);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        f.write_str(event.full_action())?;
        f.write_char(' ')?;
        match event.name() {
            Some(name) => f.write_str(name)?,
            // A long id is shown as the docker command shows it.
            None => event.id().chars().take(19).try_for_each(|c| f.write_char(c))?,
        }
        if let Some(code) = event.exit_code() {
            write!(f, ", exit code {code}")?;
        }
        Ok(())
    }
}
