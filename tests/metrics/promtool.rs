//! The text as promtool reads it, if `BUSLANE_PROMTOOL` names the program: see `.ci/prometheus`.

use buslane::director::Director;
use buslane::source::Monitor;
use buslane::stats::metrics::{Exposition, Format};
use buslane::testing::{Collect, Script};
use buslane::{Bus, noop};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn promtool_accepts_every_name() {
    let Some(promtool) = std::env::var_os("BUSLANE_PROMTOOL") else { return };
    let bus = Bus::<u32>::new();
    for name in ["", "\"", "\\", "a\nb", "a\0b", "{x=\"y\"} 1 # ü", "same", "same"] {
        bus.add_named(name, noop()).unwrap();
    }
    let director = Director::<u32>::new().unwrap();
    let _members = ["ann", "bo\"b"].map(|name| director.join_manual(name).unwrap());
    let monitor = Monitor::builder(Script::<u32>::new()).spawn(Collect::new()).unwrap();
    let (bus, director, monitor) = (bus.snapshot(), director.snapshot(), monitor.snapshot());
    let page = Exposition::new()
        .format(Format::Prometheus)
        .bus("tele\"\0\n\\metry", &bus)
        .measurements(director.measurements("replicas"))
        .measurements(monitor.measurements("script"));
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "{page}").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && text == ["", ""], "{}: {}", output.status, text.concat());
}
