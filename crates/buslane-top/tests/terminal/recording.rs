//! Recordings: frames in a file, and the same frames on the screen again.

use crate::folder::Folder;
use crate::program::{command, failure, printed, show};
use crate::service::Service;
use buslane_inspect::Frame;
use std::fs;

fn frames(text: &str) -> Vec<Frame> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn recording_has_each_frame_and_is_appended_to() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1000);
    let file = folder.file("frames.jsonl");
    let path = file.to_str().unwrap();
    let Some(terminal) = show(80, 24, &["--every", "100ms", "--output", path, &service.target()]) else {
        return;
    };
    // With the second frame the rates are known.
    terminal.wait_for("in 0/s");
    terminal.press(&["q"]);
    terminal.wait_for("exit code 0");
    let recorded = frames(&fs::read_to_string(&file).unwrap());
    assert!(recorded.len() >= 2 && recorded.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
    printed(&["--once", "--json", "--output", path, &service.target()]);
    printed(&["--once", "--every", "100ms", "--output", path, &service.target()]);
    assert_eq!(frames(&fs::read_to_string(&file).unwrap()).len(), recorded.len() + 3);
}

#[test]
fn replay_shows_what_was_recorded() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1000);
    let file = folder.file("frames.jsonl");
    let path = file.to_str().unwrap();
    printed(&["--once", "--every", "100ms", "--output", path, &service.target()]);
    service.stop();
    // No service runs any more.
    let recorded = fs::read_to_string(&file).unwrap();
    assert_eq!(printed(&["--once", "--json", "--replay", path]).trim(), recorded.lines().last().unwrap());
    assert!(printed(&["--once", "--replay", path]).contains("992"));
    let Some(terminal) = show(80, 24, &["--replay", path, "--every", "100ms"]) else { return };
    terminal.wait_for_all(&["shop  pid ", "992", "the recording has ended"]);
    terminal.press(&["q"]);
    terminal.wait_for("exit code 0");
}

#[test]
fn broken_recording_is_named_with_its_line() {
    let folder = Folder::new();
    let file = folder.file("frames.jsonl");
    let path = file.to_str().unwrap();
    fs::write(&file, "{\"version\":1,\"program\":\"shop\"}\n{\"version\":1,\n").unwrap();
    let text = failure(command(&["--once", "--replay", path]));
    assert!(text.starts_with(&format!("{path}, line 2: EOF while parsing")), "{text}");
    // On the screen the frames before it stay.
    let Some(terminal) = show(120, 24, &["--replay", path, "--every", "100ms"]) else { return };
    terminal.wait_for_all(&["shop  pid 0", ", line 2: "]);
}

#[test]
fn unreadable_and_empty_recordings_fail() {
    let folder = Folder::new();
    let missing = folder.file("missing");
    let text = failure(command(&["--once", "--replay", missing.to_str().unwrap()]));
    assert!(text.starts_with("cannot read ") && text.contains("missing"), "{text}");
    let empty = folder.file("empty");
    fs::write(&empty, "\n").unwrap();
    assert!(
        failure(command(&["--once", "--json", "--replay", empty.to_str().unwrap()]))
            .ends_with(" has no frame")
    );
    let service = Service::start(&folder, 1);
    let text = failure(command(&["--once", "--output", folder.path().to_str().unwrap(), &service.target()]));
    assert!(text.starts_with("cannot write "), "{text}");
}
