//! The sockets of this user's services.

use super::stream::{Stream, explained};
use super::target::Target;
use crate::at::default_directories;
use crate::error::ClientError;
use crate::owner::{Flaw, flaw, is_own};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A socket in one of the default directories.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The id of the process, by the name of the socket.
    pub pid: u32,
    /// The path of the socket.
    pub path: PathBuf,
    /// Whether a service answers there.
    pub state: State,
}

/// Whether a service answers at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// A service accepts connections.
    Alive,
    /// The service has ended without removing its socket.
    Stale,
    /// The socket or its directory belongs to another user, or the directory is open to other users.
    /// No connection was made.
    Denied,
}

/// Lists the sockets in the default directories, by process id.
///
/// Only sockets of this user in directories of this user are connected to: another user may have
/// made such a directory first. [`find`] returns what is wrong with another one.
///
/// # Examples
/// ```
/// for found in buslane_inspect::client::list() {
///     println!("{} at {}", found.pid, found.path.display());
/// }
/// ```
#[must_use]
pub fn list() -> Vec<Found> {
    let mut found: Vec<Found> =
        default_directories().iter().flat_map(|directory| within(directory)).collect();
    found.sort_by_key(|found| found.pid);
    found
}

/// Lists the sockets in a directory, which may not exist.
fn within(directory: &Path) -> Vec<Found> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_trusted = trusted(directory).is_ok();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.parse().ok()?, path)))
        .map(|(pid, path)| Found { pid, state: if is_trusted { state(&path) } else { State::Denied }, path })
        .collect()
}

fn state(path: &Path) -> State {
    let connected = owned(path).and_then(|()| Stream::connect(&Target::Unix(path.to_owned())));
    match connected {
        Ok(_) => State::Alive,
        Err(ClientError::Denied(_)) => State::Denied,
        Err(_) => State::Stale,
    }
}

/// Checks that no other user can put a socket into a directory.
fn trusted(directory: &Path) -> Result<(), ClientError> {
    let name = directory.display();
    match flaw(directory).map_err(|error| explained(error, &name.to_string()))? {
        None => Ok(()),
        Some(Flaw::OfAnotherUser) => Err(ClientError::Denied(name.to_string())),
        Some(flaw) => {
            let text = format!("{name} is not used: {}", flaw.reason());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, text).into())
        }
    }
}

/// Checks that a socket exists, and belongs to this user.
fn owned(path: &Path) -> Result<(), ClientError> {
    let name = path.display().to_string();
    match fs::symlink_metadata(path) {
        Ok(metadata) if is_own(&metadata) => Ok(()),
        Ok(_) => Err(ClientError::Denied(name)),
        Err(error) => Err(explained(error, &name)),
    }
}

/// Returns the default socket of a process.
///
/// # Errors
/// [`ClientError::NoService`] if the process has none, and [`ClientError::Denied`] if the socket or
/// its directory belongs to another user. [`ClientError::Io`] if the directory is open to other
/// users, or is not a directory.
///
/// # Examples
/// ```
/// assert!(buslane_inspect::client::find(u32::MAX).is_err());
/// ```
pub fn find(pid: u32) -> Result<Target, ClientError> {
    let name = format!("{pid}.sock");
    let mut reason = None;
    for directory in default_directories() {
        let path = directory.join(&name);
        match trusted(&directory).and_then(|()| owned(&path)) {
            Ok(()) => return Ok(Target::Unix(path)),
            Err(ClientError::NoService(_)) => {}
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    Err(reason.unwrap_or_else(|| ClientError::NoService(format!("the default socket of process {pid}"))))
}
