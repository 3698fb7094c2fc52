//! A quota of one processor for this process, by a control group of Linux.
//!
//! A process in a container often has a quota of processor time instead of fewer processors: its
//! threads run on all of them, and all are stopped for the rest of a period, 100 ms, when the
//! quota is used up. A thread that spins uses it up for all others.

use std::fs;
use std::io;
use std::ops::Sub;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The period of a quota, in microseconds: the default of Linux.
const PERIOD: &str = "100000";
/// The name of the group.
const NAME: &str = "buslane-benches";
const ROOT: &str = "/sys/fs/cgroup";

/// This process has a quota of one processor until this is dropped.
#[derive(Debug)]
pub struct Quota {
    /// The group with the quota.
    group: PathBuf,
    /// The group that this process was in.
    home: PathBuf,
}

/// What a quota has done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The number of periods in which the quota was used up.
    pub periods: u64,
    /// How long the threads were stopped, all processors together.
    pub time: Duration,
}

impl Throttled {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut fields = text.lines().filter_map(|line| line.split_once(' '));
            fields.find(|(known, _)| *known == name)?.1.parse().ok()
        };
        // Nanoseconds in the first version of control groups, microseconds in the second.
        let time = field("throttled_time").map(Duration::from_nanos);
        let time = time.or_else(|| field("throttled_usec").map(Duration::from_micros))?;
        Some(Self { periods: field("nr_throttled")?, time })
    }
}

impl Sub for Throttled {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { periods: self.periods - before.periods, time: self.time.saturating_sub(before.time) }
    }
}

impl Quota {
    /// Makes a group with a quota of one processor, and moves this process into it.
    ///
    /// # Errors
    /// Any error of the system: this needs control groups, and the right to change them.
    pub fn one_processor() -> io::Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let home = home(Path::new(ROOT), &groups).ok_or(io::ErrorKind::Unsupported)?;
        let group = home.join(NAME);
        if !group.exists() {
            fs::create_dir(&group)?;
        }
        // Dropped on an error: the process moves back, and the group is removed.
        let quota = Self { group, home };
        if quota.group.join("cpu.max").exists() {
            fs::write(quota.group.join("cpu.max"), format!("{PERIOD} {PERIOD}"))?;
        } else {
            fs::write(quota.group.join("cpu.cfs_period_us"), PERIOD)?;
            fs::write(quota.group.join("cpu.cfs_quota_us"), PERIOD)?;
        }
        enter(&quota.group)?;
        Ok(quota)
    }

    /// Returns what the quota has done to the process up to now.
    ///
    /// # Errors
    /// Any error of the system.
    pub fn throttled(&self) -> io::Result<Throttled> {
        let text = fs::read_to_string(self.group.join("cpu.stat"))?;
        Throttled::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // Without the right to move back there is nothing else to do; the group ends with the
        // process at the latest.
        let _ = enter(&self.home);
        let _ = fs::remove_dir(&self.group);
    }
}

/// Moves this process, with all its threads, into a group.
fn enter(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), std::process::id().to_string())
}

/// Returns the directory of the group that has this process's quota: of the first version of control
/// groups if the controller `cpu` is there, otherwise of the second.
fn home(root: &Path, groups: &str) -> Option<PathBuf> {
    // A line is `number:controllers:path`; the second version has the number 0 and no controllers.
    let lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?.trim_start_matches('/')))
    });
    let first = lines.clone().find(|(controllers, _)| controllers.split(',').any(|name| name == "cpu"));
    if let Some((controllers, path)) = first {
        return Some(root.join(controllers).join(path));
    }
    let (_, path) = lines.clone().find(|(controllers, _)| controllers.is_empty())?;
    Some(root.join(path))
}

#[cfg(test)]
mod tests {
    use super::{Throttled, home};
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    #[test]
    fn home_is_the_group_with_the_quota() {
        let home = |groups: &str| home(Path::new("/groups"), groups);
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(home("4:memory:/a\n2:cpu,cpuacct:/b/c\n0::/d"), path("/groups/cpu,cpuacct/b/c"));
        assert_eq!(home("4:memory:/a\n0::/d/e"), path("/groups/d/e"));
        assert_eq!(home("2:cpuacct:/b"), None);
    }

    #[test]
    fn statistics_are_those_of_either_version() {
        let first = "nr_periods 9\nnr_throttled 4\nthrottled_time 5000000\nnr_bursts 0\n";
        let second = "usage_usec 7\nnr_periods 9\nnr_throttled 3\nthrottled_usec 2000\n";
        let millis = |periods, millis| Throttled { periods, time: Duration::from_millis(millis) };
        assert_eq!(Throttled::parse(first), Some(millis(4, 5)));
        assert_eq!(Throttled::parse(second), Some(millis(3, 2)));
        assert_eq!(Throttled::parse("nr_throttled 3\n"), None);
        assert_eq!(millis(4, 5) - millis(3, 2), millis(1, 3));
    }
}
