//! The JSON Lines file: created, counted again, and removed if it is a temporary one.

use demo_support::Failure;
use serde::Serialize;
use serde::de::IgnoredAny;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The file that the JSON Lines go to. A temporary one is removed when this is dropped.
#[derive(Debug, Serialize)]
pub(crate) struct Output {
    path: PathBuf,
    #[serde(rename = "temporary")]
    is_temporary: bool,
    /// Devices and pipes cannot be read again.
    #[serde(skip)]
    is_readable_again: bool,
}

/// What a second reading of the file found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineCount {
    /// Lines that hold one JSON value and end with a line feed.
    pub(crate) sound: u64,
    /// All others.
    pub(crate) broken: u64,
    /// The file's size.
    pub(crate) bytes: u64,
}

impl Output {
    /// Makes the file, at `asked` or in the directory for temporary files.
    pub(crate) fn create(asked: Option<&Path>) -> Result<(Self, File), Failure> {
        let path = asked.map_or_else(temporary_path, Path::to_owned);
        let is_temporary = asked.is_none();
        let opened = if is_temporary { File::create_new(&path) } else { File::create(&path) };
        let file =
            opened.map_err(|error| Failure::setup(format!("cannot write to {}", path.display()), error))?;
        let is_readable_again = file.metadata().is_ok_and(|about| about.is_file());
        Ok((Self { path, is_temporary, is_readable_again }, file))
    }

    /// Reads the file again and counts its lines; `None` where it cannot be read twice.
    pub(crate) fn count_lines(&self) -> io::Result<Option<LineCount>> {
        if !self.is_readable_again {
            return Ok(None);
        }
        let mut reader = BufReader::new(File::open(&self.path)?);
        let (mut count, mut line) = (LineCount::default(), Vec::new());
        while reader.read_until(b'\n', &mut line)? > 0 {
            count.bytes += line.len() as u64;
            let is_sound = line.ends_with(b"\n") && serde_json::from_slice::<IgnoredAny>(&line).is_ok();
            *(if is_sound { &mut count.sound } else { &mut count.broken }) += 1;
            line.clear();
        }
        Ok(Some(count))
    }
}

/// A name that no other run uses at the same time.
fn temporary_path() -> PathBuf {
    std::env::temp_dir().join(format!("buslane-telemetry-{}.jsonl", std::process::id()))
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = if self.is_temporary { "temporary, now removed; --output keeps it" } else { "kept" };
        write!(f, "{} ({fate})", self.path.display())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed is left to the system, which clears its directory for
            // temporary files.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
