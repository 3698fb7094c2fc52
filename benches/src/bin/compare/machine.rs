//! The machine and the build of a measurement.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

/// Returns one line with processor, system, commit and date.
pub(crate) fn describe() -> String {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let (date, _) = date.split_once('T').unwrap_or((&date, ""));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| "unknown".into());
    // The measured build has no number yet except its commit.
    let commit = first_line("git", &["describe", "--always", "--dirty", "--exclude", "*"]);
    format!(
        "{}, {processors} processors; {} {}; commit {}; {date}",
        model().unwrap_or_else(|| std::env::consts::ARCH.into()),
        std::env::consts::OS,
        kernel.trim(),
        commit.unwrap_or_else(|| "unknown".into()),
    )
}

/// Returns the processor's name, with the numbers that tell generations with the same name apart.
fn model() -> Option<String> {
    let information = fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |name: &str| {
        let fields = information.lines().filter_map(|line| line.split_once(':'));
        fields.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name)
    };
    let (_, name) = field("model name")?;
    match ["cpu family", "model", "stepping"].map(field) {
        [Some((_, family)), Some((_, model)), Some((_, stepping))] => {
            Some(format!("{name} (family {family}, model {model}, stepping {stepping})"))
        }
        _ => Some(name.to_owned()),
    }
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
