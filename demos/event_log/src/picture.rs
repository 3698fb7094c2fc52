//! The contents of a directory at one moment, and the differences between two of them.

use crate::event::Kind;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Everything in a directory and below it, by its path seen from there.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    things: BTreeMap<Arc<str>, Thing>,
    /// Folders that could not be read.
    pub(crate) unreadable: u64,
}

/// One thing in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Thing {
    size: u64,
    /// When it was written, if it is a file and the system knows. Folders change with what is in
    /// them, which is told anyway.
    written: Option<SystemTime>,
    is_file: bool,
}

impl Thing {
    fn of(about: &Metadata) -> Self {
        let is_file = about.is_file();
        let written = about.modified().ok().filter(|_| is_file);
        Self { size: if is_file { about.len() } else { 0 }, written, is_file }
    }
}

/// A difference between two pictures.
pub(crate) type Difference = (Kind, Arc<str>, u64);

impl Picture {
    /// Scans a directory. Links are not followed.
    pub(crate) fn take(directory: &Path) -> io::Result<Self> {
        let mut picture = Self::default();
        // What vanishes between two steps is not there.
        let mut folders = vec![(fs::read_dir(directory)?, String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for item in folder.flatten() {
                let path = format!("{prefix}{}", item.file_name().to_string_lossy());
                let Ok(about) = item.metadata() else { continue };
                if about.is_dir() {
                    match fs::read_dir(item.path()) {
                        Ok(inner) => folders.push((inner, format!("{path}/"))),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(_) => picture.unreadable += 1,
                    }
                }
                picture.things.insert(path.into(), Thing::of(&about));
            }
        }
        Ok(picture)
    }

    /// Returns the differences from `before`: removals first, then new and changed paths, each in
    /// path order.
    pub(crate) fn differences(&self, before: &Self) -> Vec<Difference> {
        let gone = before.things.iter().filter(|(path, _)| !self.things.contains_key(*path));
        let gone = gone.map(|(path, thing)| (Kind::Removed, path.clone(), thing.size));
        let here = self.things.iter().filter_map(|(path, thing)| {
            let kind = match before.things.get(path) {
                None => Kind::Created,
                Some(earlier) if earlier != thing => Kind::Changed,
                Some(_) => return None,
            };
            Some((kind, path.clone(), thing.size))
        });
        gone.chain(here).collect()
    }

    /// How many things there are.
    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    /// Paths and sizes, in the order of the paths.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (&Arc<str>, u64)> {
        self.things.iter().map(|(path, thing)| (path, thing.size))
    }
}
