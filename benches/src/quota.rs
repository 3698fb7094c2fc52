//! A quota of one processor for this process, by a control group of Linux.
//!
//! A process in a container often has a quota of processor time instead of fewer processors: its
//! threads run on all of them, and all are stopped for the rest of a period, 100 ms, when the
//! quota is used up. A thread that spins uses it up for all others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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

    /// Returns the number of periods in which the quota was used up.
    ///
    /// # Errors
    /// Any error of the system.
    pub fn throttled(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.group.join("cpu.stat"))?;
        let count = text.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse().ok());
        count.ok_or_else(|| io::ErrorKind::InvalidData.into())
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
    use super::home;
    use std::path::{Path, PathBuf};

    #[test]
    fn home_is_the_group_with_the_quota() {
        let home = |groups: &str| home(Path::new("/groups"), groups);
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(home("4:memory:/a\n2:cpu,cpuacct:/b/c\n0::/d"), path("/groups/cpu,cpuacct/b/c"));
        assert_eq!(home("4:memory:/a\n0::/d/e"), path("/groups/d/e"));
        assert_eq!(home("2:cpuacct:/b"), None);
    }
}
