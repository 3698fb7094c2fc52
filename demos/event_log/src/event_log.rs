//! One run: scans the directory repeatedly, starts the subscribers, and reports.

use crate::audience::Audience;
use crate::directory::Directory;
use crate::event::Event;
use crate::options::Options;
use crate::report::Outcome;
use crate::watcher::Watcher;
use buslane::Journal;
use demo_support::{Failure, Interrupt, console};
use std::sync::mpsc::Receiver;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let journal = Journal::builder().capacity(options.capacity).time_by(|event: &Event| event.time);
    let (writer, feed) =
        journal.build_single().map_err(|error| Failure::setup("cannot make the journal", error))?;
    let directory = Directory::open(options)?;
    let (interrupt, story, alarm) = Interrupt::with_story(options.json)?;

    story.note(format_args!(
        "watching {}: {} scans; the journal keeps {} events\n",
        directory.path().display(),
        options.scans,
        options.capacity
    ));
    let mut audience = Audience::open(options, &feed, &story)?;
    let mut watcher = Watcher::new(directory, writer, story.clone());
    let watched = watch(options, &mut watcher, &mut audience, &alarm);
    if interrupt.is_asked() {
        story.tell("watcher", format_args!("ended early"));
    }
    let notes = watcher.finish();
    let (mirror, visits) = audience.leave()?;
    watched?;

    let ledger = feed.state().ledger;
    let outcome = Outcome::new(&notes, ledger, interrupt.is_asked(), &mirror, visits);
    outcome.print(&story);
    outcome.verdict()?;
    console::finish()
}

/// Scans the directory as often as the options say, or until `alarm`.
fn watch(
    options: &Options,
    watcher: &mut Watcher,
    audience: &mut Audience<'_>,
    alarm: &Receiver<()>,
) -> Result<(), Failure> {
    let scans = options.scans.get();
    let (slow_comes, roaming_comes) = (scans.div_ceil(4), scans.div_ceil(2));
    let mut since = watcher.now();
    for scan in 1..=scans {
        // The roaming subscriber starts with the events of the two scans before its start.
        if scan + 1 == roaming_comes {
            since = watcher.now();
        }
        watcher.scan()?;
        audience.scanned();
        let published = watcher.notes.record.len();
        if scan == slow_comes {
            audience.admit_slow(published)?;
        }
        if scan == roaming_comes {
            audience.admit_roaming(published, since)?;
        }
        let is_last = scan == scans;
        if !is_last && alarm.recv_timeout(options.interval).is_ok() {
            break;
        }
    }
    Ok(())
}
