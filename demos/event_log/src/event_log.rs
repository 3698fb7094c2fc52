//! One run: looks at the directory again and again, lets the subscribers come, and closes the books.

use crate::audience::Audience;
use crate::books::Books;
use crate::directory::Directory;
use crate::event::Event;
use crate::options::Options;
use crate::story::Story;
use crate::watcher::Watcher;
use buslane::Journal;
use demo_support::Failure;
use demo_support::Interrupt;
use demo_support::console;
use std::sync::mpsc::{self, Receiver};

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let journal = Journal::builder().capacity(options.capacity).time_by(|event: &Event| event.time);
    let (writer, feed) =
        journal.build_single().map_err(|error| Failure::setup("cannot make the journal", error))?;
    let directory = Directory::open(options)?;
    let (waker, alarm) = mpsc::sync_channel(1);
    let wake = move || {
        // No room: then the alarm is on already.
        let _ = waker.try_send(());
    };
    let interrupt = Interrupt::listen(wake.clone())?;
    let end = interrupt.clone();
    let story = Story::begin(move || {
        end.ask();
        wake();
    });

    story.line(format_args!(
        "watching {}: {} looks; the journal keeps {} events\n",
        directory.path().display(),
        options.looks,
        options.capacity
    ));
    let mut audience = Audience::open(options, &feed, &story)?;
    let mut watcher = Watcher::new(directory, writer, story.clone());
    let watched = watch(options, &mut watcher, &mut audience, &alarm);
    if interrupt.is_asked() {
        story.tell("watcher", format_args!("was asked to end"));
    }
    let notes = watcher.finish();
    let (mirror, visits) = audience.leave()?;
    watched?;

    let mut books = Books::default();
    books.audit_journal(&notes, &feed.state().ledger);
    books.audit_mirror(&notes, &mirror);
    visits.iter().for_each(|visit| books.audit_visit(&notes, visit));
    story.line(format_args!("\nwhat each of them saw of {} events", notes.record.len()));
    visits.iter().for_each(|visit| story.line(format_args!("  {visit}")));
    books.print(&story);
    books.verdict()?;
    console::finish()
}

/// Looks at the directory as often as was asked for, or until `alarm`.
fn watch(
    options: &Options,
    watcher: &mut Watcher,
    audience: &mut Audience<'_>,
    alarm: &Receiver<()>,
) -> Result<(), Failure> {
    let looks = options.looks.get();
    let (slow_comes, roaming_comes) = (looks.div_ceil(4), looks.div_ceil(2));
    let mut since = watcher.now();
    for look in 1..=looks {
        // The roaming one wants the last two looks that it was not there for.
        if look + 1 == roaming_comes {
            since = watcher.now();
        }
        watcher.look()?;
        audience.looked();
        let published = watcher.notes.record.len();
        if look == slow_comes {
            audience.admit_slow(published)?;
        }
        if look == roaming_comes {
            audience.admit_roaming(published, since)?;
        }
        let is_last = look == looks;
        if !is_last && alarm.recv_timeout(options.interval).is_ok() {
            break;
        }
    }
    Ok(())
}
