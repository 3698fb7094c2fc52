//! The quota of processor time of the process's control group, on Linux.
//!
//! A quota applies to a group and to all groups below it, so the least one on the way from the
//! process's own group to the root counts. Version 2 has it in `cpu.max`, version 1 in
//! `cpu.cfs_quota_us` and `cpu.cfs_period_us`; a system may have both versions. Where a file is
//! missing or is not understood, there is no limit.

use std::path::{Component, Path, PathBuf};

/// Returns the number of processors that the quota allows, rounded up; `None` without a quota.
/// `read` returns the content of a file.
pub(super) fn quota(read: impl Fn(&Path) -> Option<String>) -> Option<usize> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let of_two = group_of_two(&groups)
        .and_then(|group| directory(&mounts, group, |kind, _| kind == "cgroup2"))
        .and_then(|at| least(&at, |group| quota_of_two(&read(&group.join("cpu.max"))?)));
    let has_cpu = |options: &str| options.split(',').any(|option| option == "cpu");
    let of_one = group_of_one(&groups)
        .and_then(|group| directory(&mounts, group, |kind, options| kind == "cgroup" && has_cpu(options)))
        .and_then(|at| {
            least(&at, |group| {
                let file = |name| read(&group.join(name));
                quota_of_one(&file("cpu.cfs_quota_us")?, &file("cpu.cfs_period_us")?)
            })
        });
    of_two.into_iter().chain(of_one).min()
}

/// Returns the path of the process's group of version 2, from the lines `ID:CONTROLLERS:PATH`.
fn group_of_two(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Returns the path of the process's group of version 1 that has the controller `cpu`.
fn group_of_one(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|controller| controller == "cpu").then_some(path)
    })
}

/// A directory of a group, and the number of its parents that are groups, too.
struct Group {
    path: PathBuf,
    parents: usize,
}

/// Returns the directory of this group, from the lines of `mountinfo`. `is_wanted` gets the kind of
/// a file system and its options.
fn directory(mounts: &str, group: &str, is_wanted: impl Fn(&str, &str) -> bool) -> Option<Group> {
    let wanted = mounts.lines().filter_map(|line| {
        // ID, parent, device, root, mount point, options, any number of others; `-`; kind, source,
        // options of the file system.
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1).unwrap_or(""));
        is_wanted(kind, options).then(|| (unescaped(root), unescaped(point)))
    });
    let wanted: Vec<_> = wanted.collect();
    // Another mount may show another part of the tree of groups.
    let shows = |(root, _): &&(String, String)| Path::new(group).starts_with(root);
    let (root, point) = wanted.iter().find(shows).or(wanted.first())?;
    Some(below(root, point, group))
}

/// Returns the directory of a group in a file system of which `root` is mounted at `point`. In a
/// container the root is often the process's own group; a group elsewhere is not to be seen.
fn below(root: &str, point: &str, group: &str) -> Group {
    let inner = Path::new(group).strip_prefix(root).ok();
    let is_plain = |inner: &&Path| inner.components().all(|part| matches!(part, Component::Normal(_)));
    let inner = inner.filter(is_plain).unwrap_or(Path::new(""));
    Group { path: Path::new(point).join(inner), parents: inner.components().count() }
}

/// Replaces `\040` and the like, by which a path shows spaces, tabs, line feeds and backslashes.
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(path.to_owned(), |path, (escape, with)| path.replace(escape, with))
}

/// Returns the least quota of a group and its parents.
fn least(group: &Group, quota: impl Fn(&Path) -> Option<usize>) -> Option<usize> {
    group.path.ancestors().take(group.parents + 1).filter_map(quota).min()
}

/// Parses `cpu.max`: the quota or `max`, and the period, which may be left out.
fn quota_of_two(text: &str) -> Option<usize> {
    let mut words = text.split_whitespace();
    processors(words.next()?, words.next().unwrap_or("100000"))
}

/// Parses the two files of version 1, where a quota of -1 is none.
fn quota_of_one(quota: &str, period: &str) -> Option<usize> {
    processors(quota.trim(), period.trim())
}

fn processors(quota: &str, period: &str) -> Option<usize> {
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    let is_valid = quota > 0 && period > 0;
    usize::try_from(is_valid.then(|| quota.div_ceil(period))?).ok()
}

#[cfg(test)]
mod tests {
    use super::quota;
    use std::collections::HashMap;
    use std::path::Path;

    const TWO: &str = "30 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const ONE: &str = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

    /// Returns the quota of a process in these groups, where these files exist.
    fn quota_in(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<usize> {
        let proc = [("/proc/self/cgroup", groups), ("/proc/self/mountinfo", mounts)];
        let files: HashMap<&str, &str> = proc.into_iter().chain(files.iter().copied()).collect();
        quota(|path: &Path| files.get(path.to_str()?).map(|text| (*text).to_owned()))
    }

    fn of_two(max: &str) -> Option<usize> {
        quota_in("0::/a\n", TWO, &[("/sys/fs/cgroup/a/cpu.max", max)])
    }

    fn of_one(quota: &str, period: &str) -> Option<usize> {
        let at = "/sys/fs/cgroup/cpu,cpuacct/a/";
        let (quota_file, period_file) = (format!("{at}cpu.cfs_quota_us"), format!("{at}cpu.cfs_period_us"));
        quota_in("4:memory:/m\n3:cpu,cpuacct:/a\n", ONE, &[(&*quota_file, quota), (&*period_file, period)])
    }

    #[test]
    fn quota_of_version_two_is_rounded_up() {
        assert_eq!(of_two("100000 100000\n"), Some(1));
        assert_eq!(of_two("50000 100000\n"), Some(1));
        assert_eq!(of_two("150000 100000\n"), Some(2));
        assert_eq!(of_two("800000 200000\n"), Some(4));
        // The period may be left out.
        assert_eq!(of_two("250000"), Some(3));
    }

    #[test]
    fn quota_of_version_one_is_rounded_up() {
        assert_eq!(of_one("100000\n", "100000\n"), Some(1));
        assert_eq!(of_one("1000\n", "100000\n"), Some(1));
        assert_eq!(of_one("250000\n", "100000\n"), Some(3));
    }

    #[test]
    fn absent_quota_is_no_limit() {
        assert_eq!(of_two("max 100000\n"), None);
        assert_eq!(of_one("-1\n", "100000\n"), None);
        assert_eq!(quota_in("0::/a\n", TWO, &[]), None);
        assert_eq!(quota_in("0::/a\n", "", &[]), None);
        assert_eq!(quota(|_| None), None);
    }

    #[test]
    fn malformed_files_are_no_limit() {
        for text in [
            "",
            "\n",
            "max",
            "1.5 100000",
            "-1 100000",
            "0 100000",
            "100000 0",
            "1 x",
            "🙂",
            "99999999999999999999 1",
        ] {
            assert_eq!(of_two(text), None, "{text:?}");
        }
        for (quota, period) in [("", ""), ("100000", ""), ("100000", "0"), ("0", "100000"), ("x", "100000")] {
            assert_eq!(of_one(quota, period), None, "{quota:?} {period:?}");
        }
        let file = [("/sys/fs/cgroup/cpu.max", "1 1")];
        for groups in ["", "0:", "0::", "::", "no colon", "1:cpu"] {
            let found = quota_in(groups, TWO, &file);
            assert!(found.is_none() || groups == "0::", "{groups:?}: {found:?}");
        }
        for mounts in ["-", " - ", " - cgroup2", "1 2 3 - cgroup2 x", "\n\n"] {
            assert_eq!(quota_in("0::/\n", mounts, &file), None, "{mounts:?}");
        }
    }

    #[test]
    fn mount_of_another_group_is_passed_over() {
        let other = "29 23 0:28 /other /mnt/other rw - cgroup2 cgroup2 rw\n";
        let files = [("/mnt/other/cpu.max", "100000 100000"), ("/sys/fs/cgroup/a/cpu.max", "300000 100000")];
        assert_eq!(quota_in("0::/a\n", &format!("{other}{TWO}"), &files), Some(3));
        // In a container, the only mount may have another root.
        assert_eq!(quota_in("0::/a\n", other, &files), Some(1));
    }

    #[test]
    fn least_quota_on_the_way_to_the_root_counts() {
        let files = |outer, middle, inner| {
            [
                ("/sys/fs/cgroup/cpu.max", outer),
                ("/sys/fs/cgroup/a/cpu.max", middle),
                ("/sys/fs/cgroup/a/b c/cpu.max", inner),
            ]
        };
        for (outer, middle, inner) in [("2 1", "max 1", "9 1"), ("max", "2 1", "max"), ("9 1", "5 1", "2 1")]
        {
            assert_eq!(quota_in("0::/a/b c\n", TWO, &files(outer, middle, inner)), Some(2));
        }
        // A group beside the process's own does not.
        assert_eq!(quota_in("0::/b\n", TWO, &files("9 1", "2 1", "2 1")), Some(9));
    }

    #[test]
    fn group_of_a_container_is_its_mount() {
        // The root of the mount is the process's own group, whose path is that of the host.
        let mounts = "36 32 0:33 /box/7 /sys/fs/my\\040cpu ro - cgroup cgroup rw,cpu\n";
        let files =
            [("/sys/fs/my cpu/cpu.cfs_quota_us", "200000"), ("/sys/fs/my cpu/cpu.cfs_period_us", "100000")];
        assert_eq!(quota_in("3:cpu:/box/7\n", mounts, &files), Some(2));
        // A group outside the mount, as a process sees that has entered the container.
        for group in ["/elsewhere", "/../other", "/box/7/../8"] {
            assert_eq!(quota_in(&format!("3:cpu:{group}\n"), mounts, &files), Some(2), "{group}");
        }
    }

    #[test]
    fn both_versions_count_on_a_mixed_system() {
        let mounts = format!("{ONE}{TWO}");
        let files = [
            ("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000"),
            ("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000"),
            ("/sys/fs/cgroup/b/cpu.max", "400000 100000"),
        ];
        assert_eq!(quota_in("3:cpu:/a\n0::/b\n", &mounts, &files), Some(3));
        assert_eq!(quota_in("3:cpu:/c\n0::/b\n", &mounts, &files), Some(4));
    }
}
