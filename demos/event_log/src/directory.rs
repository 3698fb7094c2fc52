//! The directory that is watched: somebody's, or the demo's own.

use crate::options::Options;
use crate::picture::Picture;
use crate::playground::Playground;
use demo_support::Failure;
use std::path::{Path, PathBuf};

/// The directory that is watched.
pub(crate) enum Directory {
    /// Others change it.
    Given(PathBuf),
    /// We change it ourselves, so many times before each look.
    Own(Playground, u32),
}

impl Directory {
    /// The one that was asked for, if it can be read.
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

    /// Lets something happen, if it is up to us.
    pub(crate) fn change(&mut self) -> Result<(), Failure> {
        let Self::Own(playground, changes) = self else { return Ok(()) };
        (0..*changes)
            .try_for_each(|_| playground.change_something())
            .map_err(|error| Failure::broken("cannot change the directory", error))
    }

    /// Looks at it.
    pub(crate) fn look(&self) -> Result<Picture, Failure> {
        let path = self.path();
        Picture::take(path).map_err(|error| Failure::broken(format!("cannot read {}", path.display()), error))
    }
}
