//! The file of the aggregator: every event that has arrived, with where the stream has it.

use crate::request::{Life, Request};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An event that has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) request: Request,
    /// The sequence in the stream.
    pub(crate) sequence: u64,
    /// The time from the publish to the arrival, in microseconds.
    pub(crate) delay: u64,
}

const SIZE: usize = 48;

impl Arrival {
    fn to_bytes(self) -> [u8; SIZE] {
        let Request { life, number, at, micros, failed } = self.request;
        let words = [
            u64::from(life.service) << 32 | u64::from(life.life),
            number,
            at,
            u64::from(micros) << 1 | u64::from(failed),
            self.sequence,
            self.delay,
        ];
        let mut bytes = [0; SIZE];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn of_bytes(bytes: &[u8; SIZE]) -> Self {
        let mut words = [0; 6];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let [life, number, at, micros, sequence, delay] = words;
        // The upper and the lower half.
        let life = Life { service: (life >> 32) as u32, life: life as u32 };
        let request = Request { life, number, at, micros: (micros >> 1) as u32, failed: micros & 1 == 1 };
        Self { request, sequence, delay }
    }
}

fn path_of(folder: &Path) -> PathBuf {
    folder.join("arrivals")
}

/// Appends arrivals.
#[derive(Debug)]
pub(crate) struct Writer(File);

impl Writer {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        File::options().create(true).append(true).open(path_of(folder)).map(Self)
    }

    /// Appends with one call, which a kill of the process cannot cut in two.
    pub(crate) fn add(&mut self, arrival: Arrival) -> io::Result<()> {
        self.0.write_all(&arrival.to_bytes())
    }
}

/// Reads what was appended since the last time.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    file: Option<File>,
    next: u64,
}

impl Reader {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: path_of(folder), file: None, next: 0 }
    }

    pub(crate) fn read(&mut self) -> io::Result<Vec<Arrival>> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                file => self.file = Some(file?),
            }
        }
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        file.seek(SeekFrom::Start(self.next))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (whole, _) = bytes.as_chunks::<SIZE>();
        self.next += (whole.len() * SIZE) as u64;
        Ok(whole.iter().map(Arrival::of_bytes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Reader, Writer};
    use crate::request::{Life, Request};
    use demo_support::Folder;
    use std::path::Path;

    #[test]
    fn arrivals_are_read_as_they_were_written() {
        let folder = Folder::new();
        let path = Path::new(folder.path());
        let mut reader = Reader::new(path);
        assert!(reader.read().unwrap().is_empty());
        let mut writer = Writer::open(path).unwrap();
        for number in 1..=3 {
            let life = Life { service: 2, life: u32::MAX };
            let request = Request { life, number, at: 7, micros: u32::MAX, failed: number == 2 };
            writer.add(Arrival { request, sequence: 10 + number, delay: 5 }).unwrap();
        }
        let arrivals = reader.read().unwrap();
        let last = &arrivals[2];
        assert_eq!((arrivals.len(), last.request.number, last.sequence, last.delay), (3, 3, 13, 5));
        assert_eq!((last.request.life.service, last.request.life.life), (2, u32::MAX));
        assert!(arrivals[1].request.failed && !last.request.failed && last.request.micros == u32::MAX);
        assert!(reader.read().unwrap().is_empty());
    }
}
