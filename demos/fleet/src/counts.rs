//! What a service writes down while it runs, so that its counts are there after a kill.

use crate::request::{Life, name_of};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The counts of one life of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Events that were offered to the bus, the one included whose call has not returned.
    pub(crate) attempted: u64,
    /// Events that the bus has accepted.
    pub(crate) accepted: u64,
    /// Events that the server has acknowledged.
    pub(crate) acknowledged: u64,
    /// Of these, those that the server had stored before.
    pub(crate) duplicates: u64,
    /// Messages that were sent again.
    pub(crate) retried: u64,
    /// Requests whose event had no room in the queue, and was not published.
    pub(crate) refused: u64,
    /// One if the service has closed its bus, and nothing was left.
    pub(crate) closed: u64,
}

impl Counts {
    fn fields(&self) -> [u64; 7] {
        let Self { attempted, accepted, acknowledged, duplicates, retried, refused, closed } = *self;
        [attempted, accepted, acknowledged, duplicates, retried, refused, closed]
    }

    /// Reads the counts of a life. They are empty if it wrote none.
    pub(crate) fn read(folder: &Path, life: Life) -> io::Result<Self> {
        let bytes = match std::fs::read(path_of(folder, life)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes?,
        };
        let mut fields = [0; 7];
        for (field, bytes) in fields.iter_mut().zip(bytes.chunks_exact(8)) {
            *field = u64::from_le_bytes(bytes.try_into().map_err(io::Error::other)?);
        }
        let [attempted, accepted, acknowledged, duplicates, retried, refused, closed] = fields;
        Ok(Self { attempted, accepted, acknowledged, duplicates, retried, refused, closed })
    }
}

/// The file of the counts of a running service.
#[derive(Debug)]
pub(crate) struct CountsFile(File);

impl CountsFile {
    pub(crate) fn create(folder: &Path, life: Life) -> io::Result<Self> {
        File::create(path_of(folder, life)).map(Self)
    }

    /// Writes the counts with one call, which a kill of the process cannot cut in two.
    pub(crate) fn write(&mut self, counts: &Counts) -> io::Result<()> {
        let mut bytes = [0; 56];
        for (bytes, field) in bytes.chunks_exact_mut(8).zip(counts.fields()) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(&bytes)
    }
}

fn path_of(folder: &Path, life: Life) -> PathBuf {
    folder.join(format!("{}-{}.counts", name_of(life.service), life.life))
}
