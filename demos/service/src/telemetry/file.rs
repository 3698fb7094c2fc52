//! The file of the log lines, and how many there are in it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The file of the log lines.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// Its length when it was opened; `None` if it is not a regular file, whose lines cannot be read
    /// again.
    begin: Option<u64>,
}

/// How many lines were appended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lines: u64,
    /// Of these, the ones that contain the text.
    pub(crate) with_text: u64,
}

impl LogFile {
    /// Opens the file for appending, or creates it.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, File)> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let begin = Some(file.metadata()?).filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        Ok((Self { path: path.to_owned(), begin }, file))
    }

    /// Counts the lines that were appended, and those of them that contain `text`; `None` if they
    /// cannot be read again.
    pub(crate) fn count(&self, text: &str) -> io::Result<Option<Counts>> {
        let Some(begin) = self.begin else { return Ok(None) };
        let mut reader = BufReader::new(File::open(&self.path)?);
        reader.seek(SeekFrom::Start(begin))?;
        let (mut counts, mut line) = (Counts::default(), Vec::new());
        while reader.read_until(b'\n', &mut line)? > 0 {
            counts.lines += 1;
            let found = line.windows(text.len()).any(|part| part == text.as_bytes());
            counts.with_text += u64::from(found);
            line.clear();
        }
        Ok(Some(counts))
    }
}
