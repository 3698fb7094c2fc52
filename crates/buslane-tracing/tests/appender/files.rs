//! Logs in files, whose directory may vanish.

use crate::{flush, put};
use buslane_tracing::NonBlockingBuilder;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use test_support::wait_for;

/// A directory of one test, which is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("buslane-tracing-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file that fails once its directory is gone, as one on a file system that was unmounted does.
struct Checked(File, PathBuf);

impl Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fs::metadata(&self.1)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn vanished_directory_is_made_again() {
    let directory = Directory::new("vanished");
    let logs = directory.0.join("logs");
    let path = logs.join("app.log");
    let open = {
        let path = path.clone();
        move || {
            fs::create_dir_all(&logs)?;
            Ok(Checked(File::options().append(true).create(true).open(&path)?, path.clone()))
        }
    };
    let (log, guard) = NonBlockingBuilder::default().build_reopening(open).unwrap();
    put(&log, "before");
    flush(&guard);
    assert_eq!(fs::read_to_string(&path).unwrap(), "before\n");
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    put(&log, "after");
    wait_for(|| fs::read_to_string(&path).is_ok_and(|text| text.contains("failed for")));
    flush(&guard);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("after\n") && text.contains("buslane: the writer failed for"), "{text}");
    assert_eq!(guard.ledger().delivered, 2);
}

#[test]
fn directory_that_cannot_be_made_is_an_error() {
    let open = || File::create("/proc/no such directory/app.log");
    let error = NonBlockingBuilder::default().build_reopening(open).unwrap_err();
    assert!(error.to_string().contains("the writer cannot be opened"), "{error}");
}
