//! The directory that is watched: the user's, or the demo's own.

use crate::options::Options;
use crate::picture::Picture;
use crate::playground::Playground;
use demo_support::Failure;
use std::path::{Path, PathBuf};

/// The directory that is watched.
pub(crate) enum Directory {
    /// A directory of the user, which other programs change.
    Given(PathBuf),
    /// A directory of the demo, with the number of changes before each scan.
    Own(Playground, u32),
}

impl Directory {
    /// Opens the directory of the options, or creates one.
    pub(crate) fn open(options: &Options) -> Result<Self, Failure> {
        let Some(path) = &options.directory else {
            return Ok(Self::Own(Playground::make(options.seed)?, options.changes));
        };
        match std::fs::read_dir(path) {
            Ok(_) => Ok(Self::Given(path.clone())),
            Err(error) => Err(Failure::setup(format!("cannot read {}", path.display()), error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Own(playground, _) => playground.root(),
        }
    }

    /// Changes the directory, if it is the demo's own.
    pub(crate) fn change(&mut self) -> Result<(), Failure> {
        let Self::Own(playground, changes) = self else { return Ok(()) };
        (0..*changes)
            .try_for_each(|_| playground.change_something())
            .map_err(|error| Failure::broken("cannot change the directory", error))
    }

    /// Scans it.
    pub(crate) fn scan(&self) -> Result<Picture, Failure> {
        let path = self.path();
        Picture::take(path).map_err(|error| Failure::broken(format!("cannot read {}", path.display()), error))
    }
}
