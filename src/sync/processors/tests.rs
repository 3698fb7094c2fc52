//! The number of processors of real processes, with limits set by the system's own tools.

use super::{allowed, count, online};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Printed before the number by the child process.
const ANSWER: &str = "processors: ";

/// Returns the number that a new process counts which this program and its arguments start. `None`
/// if the program is missing.
fn counted_by(program: &str, arguments: &[&str]) -> Option<usize> {
    let report = "sync::processors::tests::number_is_within_the_limits";
    let child = Command::new(program)
        .args(arguments)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", report, "--nocapture"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&child.stdout);
    let number = text.lines().find_map(|line| line.split_once(ANSWER)).map(|(_, number)| number.trim());
    Some(number.unwrap_or_else(|| panic!("{program}: {child:?}")).parse().unwrap())
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn affinity_of_the_process_limits_its_number() {
    let can_pin =
        Command::new("taskset").args(["-c", "0", "true"]).status().is_ok_and(|status| status.success());
    match can_pin.then(|| counted_by("taskset", &["-c", "0"])).flatten() {
        Some(counted) => assert_eq!(counted, 1),
        None => eprintln!("not tested: `taskset` cannot pin to processor 0"),
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn affinity_of_the_calling_thread_does_not() {
    let before = count();
    std::thread::spawn(move || {
        let this = std::fs::read_link("/proc/thread-self").unwrap();
        let thread = this.file_name().unwrap();
        let pinned = Command::new("taskset").args(["-p", "-c", "0"]).arg(thread).output();
        match pinned {
            Ok(pinned) if pinned.status.success() => {
                assert_eq!(std::thread::available_parallelism().unwrap().get(), 1);
                assert_eq!(count(), before);
            }
            _ => eprintln!("not tested: `taskset` cannot pin this thread"),
        }
    })
    .join()
    .unwrap();
}

/// Other tests run this one in a child process, and read what it prints.
#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn number_is_within_the_limits() {
    let (counted, online) = (count(), online().unwrap());
    println!("{ANSWER}{counted}");
    let allowed = allowed(online).unwrap();
    assert!(counted >= 1 && counted <= online.min(allowed), "{counted} of {online}, {allowed}");
}

/// A control group for one test, removed at its end.
struct Group(PathBuf);

impl Group {
    /// Makes a group of version 1 or 2 below the root, if the system allows it.
    fn new(name: &str) -> Option<Self> {
        let roots = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"];
        let is_root = |root: &&&str| {
            ["cpu.cfs_quota_us", "cgroup.subtree_control"]
                .iter()
                .any(|file| Path::new(root).join(file).exists())
        };
        let root = roots.iter().find(is_root)?;
        let path = Path::new(root).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn limit_to(&self, quota: &str) -> bool {
        let write = |file: &str, text: &str| {
            let path = self.0.join(file);
            path.exists() && std::fs::write(path, text).is_ok()
        };
        write("cpu.cfs_quota_us", quota) || write("cpu.max", &format!("{quota} 100000"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn quota_of_the_process_limits_its_number() {
    let Some(group) = Group::new("buslane-test").filter(|group| group.limit_to("100000")) else {
        eprintln!("not tested: the system allows no control group with a quota");
        return;
    };
    let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
    let all = count();
    for (quota, processors) in [("100000", 1), ("50000", 1), ("150000", 2), ("6400000", all)] {
        assert!(group.limit_to(quota), "a quota of {quota}");
        assert_eq!(counted_by("sh", &["-c", &enter, "sh"]), Some(processors.min(all)), "{quota}");
    }
}
