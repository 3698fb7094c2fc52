//! The path of a Unix socket: taken without a moment in which another user could connect, and given
//! back at the end.
//!
//! The socket is made in a new directory with the mode 0700, gets the mode 0600, and is then linked
//! to its path. A link fails if the path exists, so that a live service is never replaced.

use crate::at::{At, default_directory};
use crate::error::ServeError;
use crate::owner::{flaw, is_own};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The attempts to take a path from which other services' stale sockets have to be removed.
const ATTEMPTS: u32 = 3;

/// A path at which this process has a socket. Its drop removes the socket.
pub(super) struct SocketPath {
    path: PathBuf,
    /// The device and the number of the file, by which it is known.
    file: (u64, u64),
}

impl SocketPath {
    pub(super) fn take(path: &Path) -> Result<(UnixListener, Self), ServeError> {
        let failed = |source| ServeError::Io { at: At::Unix(path.to_owned()), source };
        // A link may have a longer path than a socket that clients can connect to.
        SocketAddr::from_pathname(path).map_err(failed)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        if parent == default_directory() {
            own_directory(parent)?;
        }
        let nursery = Nursery::new(parent).map_err(failed)?;
        let first = nursery.0.join("s");
        let listener = UnixListener::bind(&first).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        fs::set_permissions(&first, Permissions::from_mode(0o600)).map_err(failed)?;
        let metadata = fs::symlink_metadata(&first).map_err(failed)?;
        for attempt in 1.. {
            match fs::hard_link(&first, path) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt <= ATTEMPTS => {
                    remove_stale(path)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok((listener, Self { path: path.to_owned(), file: (metadata.dev(), metadata.ino()) }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        // Another service may have replaced the socket, if it took this one for stale.
        let ours = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == self.file;
        if fs::symlink_metadata(&self.path).is_ok_and(ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A directory in which only this user can reach a file.
struct Nursery(PathBuf);

impl Nursery {
    fn new(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // A short name: the path of a socket has at most 107 bytes.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!(".{:x}.{number:x}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&path);
        if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            // Left by a process that had the same id and was killed. A link would be of another user.
            let metadata = fs::symlink_metadata(&path)?;
            if !metadata.is_dir() || !is_own(&metadata) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let _ = fs::remove_file(path.join("s"));
            fs::remove_dir(&path)?;
            DirBuilder::new().mode(0o700).create(&path)?;
        } else {
            made?;
        }
        Ok(Self(path))
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0.join("s"));
        let _ = fs::remove_dir(&self.0);
    }
}

/// Makes the default directory, or checks that no other user can put a socket into it.
fn own_directory(directory: &Path) -> Result<(), ServeError> {
    let at = || At::Unix(directory.to_owned());
    let made = DirBuilder::new().mode(0o700).create(directory);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(ServeError::Io { at: at(), source: error });
        }
        _ => {}
    }
    match flaw(directory).map_err(|source| ServeError::Io { at: at(), source })? {
        None => Ok(()),
        Some(flaw) => Err(ServeError::Insecure { path: directory.to_owned(), reason: flaw.reason() }),
    }
}

/// Removes a socket that no service listens to any more.
fn remove_stale(path: &Path) -> Result<(), ServeError> {
    let failed = |source| ServeError::Io { at: At::Unix(path.to_owned()), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // Removed meanwhile by its service.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ServeError::NotASocket(path.to_owned()));
    }
    if !is_own(&metadata) {
        let reason = "the socket belongs to another user";
        return Err(ServeError::Insecure { path: path.to_owned(), reason });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => displace(path, &metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Also where the queue of connections is full: then something listens.
        _ => Err(ServeError::Taken(At::Unix(path.to_owned()))),
    }
}

/// Removes a socket if it still is the one that was examined: another service may have removed that one
/// and put its own in its place.
fn displace(path: &Path, examined: &fs::Metadata) -> Result<(), ServeError> {
    let failed = |source| ServeError::Io { at: At::Unix(path.to_owned()), source };
    let nursery = Nursery::new(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let moved = nursery.0.join("s");
    match fs::rename(path, &moved) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.map_err(failed)?,
    }
    let metadata = fs::symlink_metadata(&moved).map_err(failed)?;
    if (metadata.dev(), metadata.ino()) == (examined.dev(), examined.ino()) {
        return Ok(());
    }
    // Back to where it was, unless a third one is there by now.
    let _ = fs::hard_link(&moved, path);
    Err(ServeError::Taken(At::Unix(path.to_owned())))
}
