//! Temporary folders.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder for temporary files, removed when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Creates an empty folder for a test.
    ///
    /// # Panics
    /// When it cannot be created, as all methods do when a step of theirs fails.
    #[expect(clippy::new_without_default, reason = "it creates a folder")]
    #[must_use]
    pub fn new() -> Self {
        Self::create().expect("a folder")
    }

    /// Creates an empty folder.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("buslane-demo-{}-{number}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// The path of the folder.
    ///
    /// # Panics
    /// When it is not valid UTF-8.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.to_str().expect("a path that is text")
    }

    /// The path of a file in it.
    ///
    /// # Panics
    /// When it is not valid UTF-8.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path that is text").to_owned()
    }

    /// Reads a file in it.
    ///
    /// # Panics
    /// When the file cannot be read.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).expect("a file")
    }

    /// Writes a file of `bytes` dots into it.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, name: &str, bytes: usize) {
        std::fs::write(self.file(name), vec![b'.'; bytes]).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
