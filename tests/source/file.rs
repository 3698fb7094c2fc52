//! Followed files: lines, rotation, truncation, and the positions from which they resume.

use crate::{GUARD, ManualClock, wait_for};
use buslane::source::{FileLines, FilePosition, Monitor, Update};
use buslane::{Channel, Receiver};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(200);

/// A folder that is removed at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("buslane-file-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_ref()).unwrap();
}

/// A monitor of a file, whose polls the test releases one by one.
struct Followed {
    monitor: Monitor<FilePosition>,
    updates: Receiver<Update<String>>,
    clock: ManualClock,
    waits: usize,
}

impl Followed {
    fn from_start(folder: &Folder) -> Self {
        Self::new(FileLines::new(folder.log()).from_start(), None)
    }

    fn resumed(folder: &Folder, token: Option<FilePosition>) -> Self {
        Self::new(FileLines::new(folder.log()), token)
    }

    fn new(source: FileLines, token: Option<FilePosition>) -> Self {
        let (channel, updates) = Channel::lossless(1024).unwrap();
        let clock = ManualClock::new();
        let monitor = Monitor::builder(source).clock(clock.clone()).resume(token).spawn(channel).unwrap();
        Self { monitor, updates, clock, waits: 0 }
    }

    /// Waits until the source has found nothing more and waits for its next poll.
    fn idle(&self) {
        wait_for(|| self.clock.waits() > self.waits);
    }

    fn poll(&mut self) {
        self.idle();
        self.waits += 1;
        self.clock.advance(POLL);
    }

    #[track_caller]
    fn expect(&mut self, texts: &[&str]) {
        for text in texts {
            let update = self.updates.recv_timeout(GUARD).unwrap();
            let found = match &update {
                Update::Event(line) => line.clone(),
                Update::Connected { resumed } => format!("resumed: {resumed}"),
                Update::Gap(gap) => format!("{:?}", gap.reason),
                other => format!("{other:?}"),
            };
            assert_eq!(found, *text);
        }
    }

    fn stop(&mut self) -> Option<FilePosition> {
        assert!(self.monitor.stop_timeout(GUARD).is_done());
        self.monitor.token()
    }
}

#[test]
fn appended_lines_are_events() {
    let folder = Folder::new();
    append(&folder.log(), "old\n");
    let mut followed = Followed::resumed(&folder, None);
    followed.expect(&["resumed: false"]);
    followed.idle();
    append(&folder.log(), "one\ntwo\nhal");
    followed.poll();
    followed.expect(&["one", "two"]);
    followed.idle();
    append(&folder.log(), "f\n\n");
    followed.poll();
    followed.expect(&["half", ""]);
    assert_eq!(followed.stop().map(|position| position.offset()), Some(18));
}

#[cfg(unix)]
#[test]
fn rotated_file_is_read_to_its_end() {
    let folder = Folder::new();
    append(&folder.log(), "one\n");
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false", "one"]);
    followed.idle();
    let rotated = folder.0.join("log.1");
    fs::rename(folder.log(), &rotated).unwrap();
    followed.poll();
    followed.idle();
    append(&rotated, "two\n");
    append(&folder.log(), "four\n");
    followed.poll();
    followed.expect(&["two"]);
    followed.idle();
    // The writer still has the old file open, and ends without a line feed.
    append(&rotated, "three");
    followed.poll();
    followed.poll();
    followed.expect(&["three", "four"]);
    followed.idle();
    append(&folder.log(), "five\n");
    followed.poll();
    followed.expect(&["five"]);
    followed.stop();
}

#[test]
fn truncated_file_leaves_a_gap() {
    let folder = Folder::new();
    append(&folder.log(), "one\ntwo\n");
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false", "one", "two"]);
    followed.idle();
    File::create(folder.log()).unwrap();
    append(&folder.log(), "new\n");
    followed.poll();
    followed.expect(&["HistoryLost", "new"]);
    assert_eq!(followed.stop().map(|position| position.offset()), Some(4));
}

#[test]
fn stored_position_resumes() {
    let folder = Folder::new();
    append(&folder.log(), "one\ntwo\n");
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false", "one", "two"]);
    followed.idle();
    let token = followed.stop().unwrap();
    append(&folder.log(), "three\n");
    let token = token.to_string().parse().unwrap();
    let mut followed = Followed::resumed(&folder, Some(token));
    followed.expect(&["resumed: true", "three"]);
    followed.stop();
}

#[cfg(unix)]
#[test]
fn position_in_a_rotated_file_is_stale() {
    let folder = Folder::new();
    append(&folder.log(), "one\n");
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false", "one"]);
    followed.idle();
    let token = followed.stop();
    fs::rename(folder.log(), folder.0.join("log.1")).unwrap();
    append(&folder.log(), "two\nthree\n");
    let mut followed = Followed::resumed(&folder, token);
    followed.expect(&["StaleToken", "resumed: false", "two", "three"]);
    followed.stop();
}

#[test]
fn position_beyond_the_end_is_stale() {
    let folder = Folder::new();
    append(&folder.log(), "one\n");
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false", "one"]);
    followed.idle();
    let token = followed.stop();
    File::create(folder.log()).unwrap();
    let mut followed = Followed::resumed(&folder, token);
    followed.expect(&["StaleToken", "resumed: false"]);
    followed.stop();
}

#[cfg(unix)]
#[test]
fn missing_file_is_waited_for() {
    let folder = Folder::new();
    let mut followed = Followed::from_start(&folder);
    followed.idle();
    assert!(followed.monitor.snapshot().last_error.is_some_and(|error| error.contains("os error 2")));
    append(&folder.log(), "one\n");
    followed.waits += 1;
    followed.clock.advance(Duration::from_secs(20));
    followed.expect(&["resumed: false", "one"]);
    followed.idle();
    // Removed and created again while it is followed.
    fs::remove_file(folder.log()).unwrap();
    followed.poll();
    followed.idle();
    append(&folder.log(), "two\n");
    followed.poll();
    followed.poll();
    followed.expect(&["two"]);
    followed.stop();
}

#[test]
fn bad_lines_are_reported_and_skipped() {
    let folder = Folder::new();
    let mut text = b"good\n\xff\xfe\n".to_vec();
    text.extend([b'x'; 100]);
    text.extend(b"\nlast\n");
    append(&folder.log(), &text);
    let mut followed = Followed::new(FileLines::new(folder.log()).from_start().max_line(10), None);
    followed.expect(&["resumed: false", "good", "Undecodable", "Undecodable", "last"]);
    followed.idle();
    // A line whose end is not there yet is not kept in memory.
    append(&folder.log(), [b'y'; 300]);
    followed.poll();
    followed.idle();
    append(&folder.log(), "y\nagain\n");
    followed.poll();
    followed.expect(&["Undecodable", "again"]);
    let snapshot = followed.monitor.snapshot();
    assert_eq!((snapshot.undecodable, snapshot.gaps), (3, 3));
    assert_eq!(snapshot.last_error.as_deref(), Some("a line is longer than 10 bytes"));
    assert_eq!(
        followed.stop().map(|position| position.offset()),
        fs::metadata(folder.log()).ok().map(|m| m.len())
    );
}

#[test]
fn folder_is_a_fault() {
    let folder = Folder::new();
    let followed = Followed::new(FileLines::new(&folder.0), None);
    followed.idle();
    assert!(followed.monitor.snapshot().last_error.is_some_and(|error| error.ends_with("is a directory")));
}

#[cfg(unix)]
#[test]
fn pipe_is_a_fault_and_is_not_opened() {
    let folder = Folder::new();
    let make = || Command::new("mkfifo").arg(folder.log()).status();
    if !make().is_ok_and(|status| status.success()) {
        return; // no such program
    }
    let followed = Followed::resumed(&folder, None);
    followed.idle();
    let error = followed.monitor.snapshot().last_error;
    assert!(error.is_some_and(|error| error.ends_with("is not a regular file")));
    drop(followed);

    // A pipe in the place of the file that is open is not opened either.
    fs::remove_file(folder.log()).unwrap();
    append(&folder.log(), "one\n");
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false", "one"]);
    followed.idle();
    fs::remove_file(folder.log()).unwrap();
    assert!(make().unwrap().success());
    followed.poll();
    followed.poll();
    followed.idle();
    fs::remove_file(folder.log()).unwrap();
    append(&folder.log(), "two\n");
    followed.poll();
    followed.poll();
    followed.expect(&["two"]);
    followed.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn file_without_a_length_is_polled() {
    let mut followed = Followed::new(FileLines::new("/proc/self/comm").from_start(), None);
    followed.expect(&["resumed: false"]);
    for waits in 1..=3 {
        followed.idle();
        assert!(followed.monitor.snapshot().gaps <= waits);
        followed.poll();
    }
    followed.stop();
}

#[test]
fn bad_last_line_is_reported_once() {
    let folder = Folder::new();
    append(&folder.log(), b"good\n\xff\n");
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false", "good", "Undecodable"]);
    followed.idle();
    let token = followed.stop();
    let mut followed = Followed::resumed(&folder, token);
    followed.expect(&["resumed: true"]);
    followed.idle();
    assert_eq!(followed.monitor.snapshot().undecodable, 0);
    followed.stop();
}

#[cfg(unix)]
#[test]
fn position_follows_a_rotation_and_a_truncation() {
    let folder = Folder::new();
    append(&folder.log(), "one\n");
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false", "one"]);
    followed.idle();
    File::create(folder.log()).unwrap();
    followed.poll();
    followed.expect(&["HistoryLost"]);
    followed.idle();
    let truncated = followed.monitor.token().unwrap();
    fs::rename(folder.log(), folder.0.join("log.1")).unwrap();
    append(&folder.log(), "");
    followed.poll();
    followed.poll();
    followed.idle();
    let rotated = followed.stop().unwrap();
    assert_eq!((truncated.offset(), rotated.offset()), (0, 0));
    assert_ne!(truncated, rotated);
    append(&folder.log(), "two\n");
    let mut followed = Followed::resumed(&folder, Some(rotated));
    followed.expect(&["resumed: true", "two"]);
    followed.stop();
}

#[cfg(unix)]
#[test]
fn stop_interrupts_the_skip_of_a_long_line() {
    let folder = Folder::new();
    // Sparse, so that it takes no room: a line of 256 GiB.
    File::create(folder.log()).unwrap().set_len(1 << 38).unwrap();
    let mut followed = Followed::from_start(&folder);
    followed.expect(&["resumed: false"]);
    followed.stop();
}

#[test]
fn malformed_positions_are_typed_errors() {
    for text in ["", "1:2", "1:2:3:4", "1:2:x", "-1:2:3", "1:2:99999999999999999999"] {
        assert!(text.parse::<FilePosition>().is_err(), "{text}");
    }
    assert_eq!(" 1:2:3\n".parse::<FilePosition>().unwrap().to_string(), "1:2:3");
}
