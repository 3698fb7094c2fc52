//! The lines of a file that is followed, across rotations and truncations.
//!
//! The file is polled. When the end is reached, the path is checked:
//!
//! - It names the file that is open, and the file is shorter than the position: the file was
//!   truncated. What was written between the last read and the truncation is lost, so a gap is
//!   reported, and the file is read from its start.
//! - It names another file: the open one was rotated. It is read until two polls in a row find
//!   nothing, since its writer may not have opened the new file yet. Then the new file is read from
//!   its start, and no line is missing.
//! - It names no file, or none that is regular: the open one is read until a new one appears.

use super::base::{Connection, Item, Source};
use super::fault::Fault;
use super::position::FilePosition;
use super::session::Session;
use super::update::{Gap, GapReason};
use crate::error::ConfigError;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

/// The number of bytes that one read asks for.
const CHUNK: usize = 64 * 1024;

/// A source of the lines of a file that is followed as `tail -F` does: across rotations and
/// truncations.
///
/// An event is a line without its line feed. A line that is not UTF-8, or longer than
/// [`max_line`](Self::max_line), is [undecodable](Item::Undecodable). A line without a line feed is
/// an event once its file was rotated, and not before.
///
/// | setting | default |
/// |---|---|
/// | [`from_start`](Self::from_start) | no: the first connection begins at the end of the file |
/// | [`poll_interval`](Self::poll_interval) | 200 ms |
/// | [`max_line`](Self::max_line) | 1 MiB |
///
/// # Guarantees
/// - **Rotation** by a new file under the same name: no line is missing and none comes twice, if it
///   happens at most once in three poll intervals. If the file was rotated while no connection was
///   open, its token is [stale](Fault::StaleToken), and the new file is read from its start after a
///   gap.
/// - **Truncation**: a gap, and the file is read from its start. If the file has grown beyond the
///   position before the next poll, the truncation is not noticed. The same holds for a new file
///   that the system gave the number of the old one while no connection was open.
/// - **A missing file**, and what is no regular file, is a transient fault for a new connection. An
///   open one waits for the next file. A pipe is never opened, since that would block.
/// - **Systems** other than Unix: files are not identified there. A rotation by renaming is never
///   noticed: the source keeps reading the renamed file, and no line of the new one is an event.
///   Only truncations are noticed there.
///
/// # Examples
/// ```
/// use buslane::source::{FileLines, Monitor};
/// use buslane::Channel;
/// # let log = std::env::temp_dir().join(format!("buslane-file-lines-{}", std::process::id()));
/// std::fs::write(&log, "one\ntwo\n")?;
/// let (channel, mut lines) = Channel::lossless(64)?;
/// let monitor = Monitor::builder(FileLines::new(&log).from_start()).spawn_events(channel)?;
/// assert_eq!((lines.recv()?, lines.recv()?), ("one".to_owned(), "two".to_owned()));
/// assert!(monitor.stop().is_done());
/// # std::fs::remove_file(&log)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a source does nothing until a monitor connects to it"]
pub struct FileLines {
    path: PathBuf,
    from_start: bool,
    poll_interval: Duration,
    max_line: usize,
}

impl FileLines {
    /// Returns a source of the lines that are appended to the file at this path.
    ///
    /// The file need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            from_start: false,
            poll_interval: Duration::from_millis(200),
            max_line: 1 << 20,
        }
    }

    /// Begins with the lines that the file has already, if there is no token.
    pub fn from_start(mut self) -> Self {
        self.from_start = true;
        self
    }

    /// Sets how often the file is polled while nothing is appended. Zero is invalid.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets the longest line, in bytes. Zero is invalid.
    pub fn max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }
}

impl FileLines {
    /// Checks that this is a regular file.
    fn check(&self, metadata: &Metadata) -> Result<(), Fault> {
        let kind = match () {
            () if metadata.is_file() => return Ok(()),
            () if metadata.is_dir() => "a directory",
            () => "not a regular file",
        };
        Err(Fault::transient(format!("{} is {kind}", self.path.display())))
    }
}

impl Source for FileLines {
    type Event = String;
    type Token = FilePosition;
    type Connection = FileConnection;

    fn connect(&mut self, from: Option<&FilePosition>, session: &Session) -> Result<FileConnection, Fault> {
        // The path first: opening a pipe would block, and a stop could not interrupt it.
        self.check(&fs::metadata(&self.path)?)?;
        let mut file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        self.check(&metadata)?;
        let here = FilePosition::of(&metadata, metadata.len());
        let offset = match from {
            Some(from) if !from.is_same_file(&here) || from.offset > here.offset => {
                // What was in the old file is lost, and all of the new one is news.
                self.from_start = true;
                return Err(Fault::stale_token(format!(
                    "{} is not the file of the token",
                    self.path.display()
                )));
            }
            Some(from) => from.offset,
            None if self.from_start => 0,
            None => here.offset,
        };
        file.seek(SeekFrom::Start(offset))?;
        Ok(FileConnection {
            path: self.path.clone(),
            poll_interval: self.poll_interval,
            max_line: self.max_line,
            session: session.clone(),
            file,
            position: here.at(offset),
            is_resumed: from.is_some(),
            is_announced: from.is_some(),
            buffer: Vec::new(),
            parsed: 0,
            is_skipping: false,
            is_rotated: false,
            has_waited: true,
        })
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.poll_interval.is_zero() {
            return Err(ConfigError::other("poll interval 0 is invalid: it must be longer than zero"));
        }
        if self.max_line == 0 {
            return Err(ConfigError::other("longest line of 0 bytes is invalid: it must be at least 1 byte"));
        }
        Ok(())
    }
}

/// An open file that is followed; the connection of [`FileLines`].
pub struct FileConnection {
    path: PathBuf,
    poll_interval: Duration,
    max_line: usize,
    session: Session,
    file: File,
    /// The position after the last line.
    position: FilePosition,
    is_resumed: bool,
    /// Whether the monitor knows the position at which the connection began.
    is_announced: bool,
    /// What was read after `position`, and is no line yet from `parsed` on.
    buffer: Vec<u8>,
    parsed: usize,
    /// Whether the line at `position` is too long, and skipped up to its end.
    is_skipping: bool,
    /// Whether the path names another file, and the last poll found nothing more in this one.
    is_rotated: bool,
    /// Whether the source has waited since it last reported a truncation. Some files have content
    /// and no length, such as those of `/proc`: each poll finds them truncated.
    has_waited: bool,
}

type LineItem = Item<String, FilePosition>;

impl FileConnection {
    /// Returns the next line of what was read.
    fn line(&mut self) -> Option<LineItem> {
        let rest = &self.buffer[self.parsed..];
        let Some(len) = rest.iter().position(|byte| *byte == b'\n') else {
            if rest.len() > self.max_line {
                // The start of the line is not kept, so that memory is bounded.
                self.position.offset += rest.len() as u64;
                self.buffer.clear();
                self.parsed = 0;
                self.is_skipping = true;
            }
            return None;
        };
        let end = self.parsed + len;
        let item = self.take(end);
        self.parsed = end + 1;
        self.position.offset += 1;
        Some(match item {
            Ok(line) => Item::Event(line, self.position),
            Err(error) => Item::Undecodable(error.into(), Some(self.position)),
        })
    }

    /// Returns the line up to `end`.
    fn take(&mut self, end: usize) -> Result<String, String> {
        let bytes = &self.buffer[self.parsed..end];
        self.position.offset += bytes.len() as u64;
        if std::mem::take(&mut self.is_skipping) || bytes.len() > self.max_line {
            return Err(format!("a line is longer than {} bytes", self.max_line));
        }
        String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
    }

    /// Reads more of the file. Returns the number of bytes.
    fn read(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.parsed);
        self.parsed = 0;
        let begun = self.buffer.len();
        let count = (&self.file).take(CHUNK as u64).read_to_end(&mut self.buffer);
        count.inspect_err(|_| self.buffer.truncate(begun))
    }

    /// Checks the path at the end of the file.
    fn at_end(&mut self) -> io::Result<Option<LineItem>> {
        let len = self.file.metadata()?.len();
        if len < self.position.offset + self.buffer.len() as u64 {
            if !std::mem::take(&mut self.has_waited) {
                return Ok(None);
            }
            self.file.seek(SeekFrom::Start(0))?;
            self.begin(self.position);
            self.is_announced = false;
            return Ok(Some(Item::Gap(Gap::new(GapReason::HistoryLost))));
        }
        let Some(named) = regular(fs::metadata(&self.path))? else { return Ok(None) };
        if FilePosition::of(&named, 0).is_same_file(&self.position) {
            self.is_rotated = false;
            return Ok(None);
        }
        if !std::mem::replace(&mut self.is_rotated, true) {
            return Ok(None);
        }
        let named = match File::open(&self.path) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(metadata) = regular(named.metadata())? else { return Ok(None) };
        // What has no line feed now never will.
        let last = (!self.buffer.is_empty() || self.is_skipping).then(|| self.take(self.buffer.len()));
        self.file = named;
        self.begin(FilePosition::of(&metadata, 0));
        Ok(Some(match last {
            None => Item::Alive(self.position),
            Some(Ok(line)) => Item::Event(line, self.position),
            Some(Err(error)) => Item::Undecodable(error.into(), Some(self.position)),
        }))
    }

    /// Begins at the start of a file.
    fn begin(&mut self, file: FilePosition) {
        self.position = file.at(0);
        self.buffer.clear();
        self.parsed = 0;
        self.is_skipping = false;
        self.is_rotated = false;
    }
}

/// Returns the metadata of a regular file, or `None` for a missing file and for any other.
fn regular(found: io::Result<Metadata>) -> io::Result<Option<Metadata>> {
    match found {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Connection for FileConnection {
    type Event = String;
    type Token = FilePosition;

    fn resumed(&mut self) -> Option<bool> {
        Some(self.is_resumed)
    }

    fn next(&mut self) -> Result<Option<LineItem>, Fault> {
        if !std::mem::replace(&mut self.is_announced, true) {
            return Ok(Some(Item::Alive(self.position)));
        }
        loop {
            if let Some(item) = self.line() {
                return Ok(Some(item));
            }
            // Also while a long line is skipped, which returns no item.
            if self.session.is_stopped() {
                return Err(Fault::transient("the monitor was stopped"));
            }
            if self.read()? > 0 {
                self.is_rotated = false;
                continue;
            }
            if let Some(item) = self.at_end()? {
                return Ok(Some(item));
            }
            if !self.session.wait(self.poll_interval) {
                return Err(Fault::transient("the monitor was stopped"));
            }
            self.has_waited = true;
        }
    }
}

impl fmt::Debug for FileConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileConnection")
            .field("path", &self.path)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
