//! Whether a directory or a socket belongs to this user.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why a directory must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    NotADirectory,
    OfAnotherUser,
    OpenToOthers,
}

impl Flaw {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NotADirectory => "it is not a directory",
            Self::OfAnotherUser => "the directory belongs to another user",
            Self::OpenToOthers => "the directory is open to other users: its mode must be 0700",
        }
    }
}

/// Checks that no other user can put a socket into a directory. Returns what is wrong with it.
pub(crate) fn flaw(directory: &Path) -> io::Result<Option<Flaw>> {
    // Not the target of a link: another user could have made the link.
    let metadata = fs::symlink_metadata(directory)?;
    Ok(if !metadata.is_dir() {
        Some(Flaw::NotADirectory)
    } else if !is_own(&metadata) {
        Some(Flaw::OfAnotherUser)
    } else if metadata.mode() & 0o077 != 0 {
        Some(Flaw::OpenToOthers)
    } else {
        None
    })
}

/// Returns whether a file belongs to this user.
pub(crate) fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}
