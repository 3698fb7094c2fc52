//! The metadata of the places in the source at which a program logs with the `log` facade.
//!
//! An event of the facade brings its target, file and line with it. Where these are static, as the
//! macros pass them, they are put into metadata once, and each record refers to that. So a record
//! contains no more than the message.
//!
//! The table has a fixed size and no entry is ever removed. A place that finds no room in it, or whose
//! entry another thread is about to make, is written into its record instead.

use ::log::Record;
use std::sync::{LazyLock, Mutex, OnceLock, TryLockError};
use tracing_core::callsite::Callsite;
use tracing_core::field::FieldSet;
use tracing_core::subscriber::Interest;
use tracing_core::{Kind, Level, Metadata, identify_callsite};

/// The number of entries, 16 bytes each: more places than most programs have.
const ENTRIES: usize = 1024;
/// How many positions a place may be from its first one.
const PROBES: usize = 8;
/// The field of an event: its message.
static FIELDS: [&str; 1] = ["message"];

type Entry = OnceLock<&'static Metadata<'static>>;

struct Table {
    entries: Box<[Entry]>,
    /// Held by the thread that makes an entry.
    entering: Mutex<()>,
}

impl Table {
    fn new() -> Self {
        Self { entries: (0..ENTRIES).map(|_| Entry::new()).collect(), entering: Mutex::new(()) }
    }
}

/// The table of all places, which the loggers of a process share.
#[derive(Clone, Copy)]
pub(super) struct Places(&'static Table);

/// Returns the target of an event, if it is the path of its module. The macros use that if they get
/// no target.
///
/// A static text never changes, so its address and length stand for it.
#[inline]
pub(super) fn static_target(record: &Record<'_>) -> Option<&'static str> {
    record.module_path_static().filter(|path| is_same(path, record.target()))
}

/// Returns whether two texts are at the same address, and so the same, if one of them is static.
#[inline]
fn is_same(one: &str, other: &str) -> bool {
    std::ptr::eq(one.as_ptr(), other.as_ptr()) && one.len() == other.len()
}

impl Places {
    /// Returns the table.
    pub(super) fn get() -> Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::new);
        Self(&TABLE)
    }

    /// Returns the metadata of the place of an event of this level, if it is static and in the table.
    #[inline]
    pub(super) fn of(self, event: &Record<'_>, level: Level) -> Option<&'static Metadata<'static>> {
        let (target, file, line) = (static_target(event)?, event.file_static()?, event.line()?);
        let place = Place { target, file, line, level };
        for entry in self.entries(&place) {
            match entry.get() {
                Some(known) if place.is_of(known) => return Some(known),
                Some(_) => {}
                None => return self.enter(&place),
            }
        }
        None
    }

    /// Makes the metadata of a place.
    #[cold]
    fn enter(self, place: &Place) -> Option<&'static Metadata<'static>> {
        // One thread at a time, so that no place is made twice. The others do not wait for it.
        let _entering = match self.0.entering.try_lock() {
            Ok(entering) => entering,
            // It protects no data that a panic could have left half changed.
            Err(TryLockError::Poisoned(entering)) => entering.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        for entry in self.entries(place) {
            let known = entry.get_or_init(|| place.metadata());
            if place.is_of(known) {
                return Some(known);
            }
        }
        None
    }

    /// Returns the entries in which a place may be.
    #[inline]
    fn entries(self, place: &Place) -> impl Iterator<Item = &'static Entry> + use<> {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the number. Lines are
        // told apart by bits that the addresses of texts share.
        let number = place.file.as_ptr().addr() as u64 ^ (u64::from(place.line) << 40);
        let product = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let first = (product >> (u64::BITS - ENTRIES.ilog2())) as usize;
        (first..first + PROBES).filter_map(move |position| self.0.entries.get(position % ENTRIES))
    }
}

/// A place in the source, with what else is static about its events.
struct Place {
    target: &'static str,
    file: &'static str,
    line: u32,
    level: Level,
}

impl Place {
    /// Returns whether the metadata is that of this place.
    #[inline]
    fn is_of(&self, metadata: &Metadata<'static>) -> bool {
        metadata.line() == Some(self.line)
            && metadata.file().is_some_and(|file| is_same(file, self.file))
            && is_same(metadata.target(), self.target)
            && *metadata.level() == self.level
    }

    /// Makes the metadata, which stays for the life of the process.
    fn metadata(&self) -> &'static Metadata<'static> {
        /// The identity of the fields.
        struct Here(OnceLock<&'static Metadata<'static>>);
        impl Callsite for Here {
            // Tracing does not know of the place: a logger has levels of its own.
            fn set_interest(&self, _: Interest) {}

            fn metadata(&self) -> &Metadata<'_> {
                // Set right below, before any other code sees the callsite.
                self.0.wait()
            }
        }
        let Self { target, file, line, level } = *self;
        let here: &'static Here = Box::leak(Box::new(Here(OnceLock::new())));
        let fields = FieldSet::new(&FIELDS, identify_callsite!(here));
        let name = "log event";
        let metadata =
            Metadata::new(name, target, level, Some(file), Some(line), Some(target), fields, Kind::EVENT);
        here.0.get_or_init(|| Box::leak(Box::new(metadata)))
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, PROBES, Places, Table};
    use ::log::Record;
    use std::thread;
    use tracing_core::{Level, Metadata};

    const PATH: &str = "service::db";

    fn table() -> Places {
        Places(Box::leak(Box::new(Table::new())))
    }

    /// Looks a place up, with a static target.
    fn look(places: Places, line: u32, level: Level) -> Option<&'static Metadata<'static>> {
        look_as(places, PATH, line, level)
    }

    fn look_as(places: Places, target: &str, line: u32, level: Level) -> Option<&'static Metadata<'static>> {
        let mut builder = Record::builder();
        builder.target(target).module_path_static(Some(PATH)).file_static(Some("db.rs")).line(Some(line));
        places.of(&builder.build(), level)
    }

    #[test]
    fn place_keeps_its_metadata() {
        let places = table();
        let first = look(places, 7, Level::INFO).unwrap();
        assert_eq!((first.target(), first.file(), first.line()), (PATH, Some("db.rs"), Some(7)));
        assert_eq!(
            (first.level(), first.module_path(), first.name()),
            (&Level::INFO, Some(PATH), "log event")
        );
        assert!(std::ptr::eq(first, look(places, 7, Level::INFO).unwrap()));
        for other in [look(places, 8, Level::INFO), look(places, 7, Level::WARN)] {
            assert!(!std::ptr::eq(first, other.unwrap()));
        }
        assert_eq!(first.fields().field("message").unwrap().callsite(), first.callsite());
        assert!(format!("{first:?}").contains("db.rs"));
    }

    #[test]
    fn target_that_is_not_static_has_no_place() {
        let places = table();
        assert!(look_as(places, "another", 7, Level::INFO).is_none());
        let copied = String::from(PATH);
        assert!(look_as(places, &copied, 7, Level::INFO).is_none());
        assert!(look_as(places, &PATH[..7], 7, Level::INFO).is_none());
    }

    #[test]
    fn full_table_keeps_what_it_has() {
        let places = table();
        let lines = || 0..4 * ENTRIES as u32;
        let kept =
            |line: &u32| look(places, *line, Level::INFO).is_some_and(|known| known.line() == Some(*line));
        let before: Vec<u32> = lines().filter(kept).collect();
        assert!((ENTRIES - 8 * PROBES..=ENTRIES).contains(&before.len()), "{}", before.len());
        assert_eq!(lines().filter(kept).collect::<Vec<_>>(), before);
    }

    #[test]
    fn threads_agree_on_the_metadata_of_a_place() {
        let places = table();
        let look_all = move || (0..200).map(|line| look(places, line, Level::INFO)).collect::<Vec<_>>();
        let threads = [(); 4].map(|()| thread::spawn(look_all));
        let seen = threads.map(|thread| thread.join().unwrap());
        for (line, now) in look_all().into_iter().enumerate() {
            let now = now.expect("no other thread is about to make it");
            // A thread has none while another one makes it.
            assert!(seen.iter().filter_map(|seen| seen[line]).all(|known| std::ptr::eq(known, now)));
        }
    }
}
