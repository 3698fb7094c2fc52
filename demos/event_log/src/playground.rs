//! A directory of the demo's own, in which files are created, changed, renamed and removed.

use demo_support::{Dice, Failure};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FOLDERS: usize = 12;
/// Files that are there at the beginning.
const FILES: usize = 150;
/// The most bytes that are written at once.
const MOST: usize = 4096;

/// A directory of the demo's own, with files. Removed when this is dropped.
pub(crate) struct Playground {
    root: PathBuf,
    dice: Dice,
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// The number in the name of the next file.
    next: u32,
}

impl Playground {
    /// Makes it, in the directory for temporary files.
    pub(crate) fn make(seed: u64) -> Result<Self, Failure> {
        // A name that no other run uses at the same time.
        let root = std::env::temp_dir().join(format!("buslane-event-log-{}", std::process::id()));
        fs::create_dir(&root)
            .map_err(|error| Failure::setup(format!("cannot make {}", root.display()), error))?;
        let mut playground =
            Self { root, dice: Dice::new(seed), folders: Vec::new(), files: Vec::new(), next: 0 };
        playground.furnish().map_err(|error| {
            Failure::setup(format!("cannot write in {}", playground.root.display()), error)
        })?;
        Ok(playground)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn furnish(&mut self) -> io::Result<()> {
        self.folders.push(self.root.clone());
        for number in 0..FOLDERS {
            let folder = self.any_folder().join(format!("folder-{number}"));
            fs::create_dir(&folder)?;
            self.folders.push(folder);
        }
        (0..FILES).try_for_each(|_| self.create())
    }

    /// Creates, changes, renames or removes a file.
    pub(crate) fn change_something(&mut self) -> io::Result<()> {
        match self.dice.below(10) {
            _ if self.files.is_empty() => self.create(),
            0..3 => self.create(),
            3..6 => self.append(),
            6..8 => self.rename(),
            _ => self.remove(),
        }
    }

    fn create(&mut self) -> io::Result<()> {
        let path = self.new_path();
        self.write(&mut File::create_new(&path)?)?;
        self.files.push(path);
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        let file = self.any_file();
        self.write(&mut File::options().append(true).open(&self.files[file])?)
    }

    fn rename(&mut self) -> io::Result<()> {
        let (file, path) = (self.any_file(), self.new_path());
        fs::rename(&self.files[file], &path)?;
        self.files[file] = path;
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        let file = self.any_file();
        fs::remove_file(self.files.swap_remove(file))
    }

    /// Writes at least one byte: a file that is changed has another size.
    fn write(&mut self, file: &mut File) -> io::Result<()> {
        let bytes = [b'.'; MOST];
        file.write_all(&bytes[..=self.dice.below(MOST)])
    }

    fn any_folder(&mut self) -> &Path {
        &self.folders[self.dice.below(self.folders.len())]
    }

    fn any_file(&mut self) -> usize {
        self.dice.below(self.files.len())
    }

    fn new_path(&mut self) -> PathBuf {
        let number = self.next;
        self.next += 1;
        self.any_folder().join(format!("file-{number}"))
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        // What cannot be removed is left to the system, which clears its directory for temporary
        // files.
        let _ = fs::remove_dir_all(&self.root);
    }
}
