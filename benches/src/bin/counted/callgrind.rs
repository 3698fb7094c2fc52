//! The executed instructions, as reported by `callgrind`.

use crate::cases::EVENTS;
use crate::code::Code;
use std::error::Error;
use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::process::Command;

/// The counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Executed {
    instructions: u64,
    locked: u64,
}

impl Sub for Executed {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { instructions: self.instructions - other.instructions, locked: self.locked - other.locked }
    }
}

/// The counts of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Count {
    pub(crate) instructions: f64,
    pub(crate) locked: f64,
}

const FEW: u64 = 8;
const MANY: u64 = 24;

/// Counts a case of this program.
pub(crate) fn count(program: &Path, case: &str, code: &Code) -> Result<Count, Box<dyn Error>> {
    let many = executed(program, case, MANY, code)?;
    let few = executed(program, case, FEW, code)?;
    if few == Executed::default() {
        return Err(format!("{case}: callgrind did not find the measured function").into());
    }
    let (difference, events) = (many - few, ((MANY - FEW) * EVENTS) as f64);
    Ok(Count {
        instructions: difference.instructions as f64 / events,
        locked: difference.locked as f64 / events,
    })
}

fn executed(program: &Path, case: &str, blocks: u64, code: &Code) -> Result<Executed, Box<dyn Error>> {
    let file = std::env::temp_dir().join(format!("counted-{}.callgrind", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted::cases::measured*"])
        // The thread of a monitor, which runs no function of this program but its source.
        .arg("--toggle-collect=*source::worker::Worker*::supervise*")
        .args(["--dump-instr=yes", "--compress-pos=no", "--compress-strings=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(["--run", case, &blocks.to_string()])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = fs::read_to_string(&file)?;
    fs::remove_file(&file)?;
    Ok(parse(&text, program, |address| code.is_locked(address)))
}

/// Sums the own cost of each instruction: `0xADDRESS LINE COUNT`. The line after `calls=` is the
/// cost of the called function, which is counted there.
fn parse(text: &str, program: &Path, is_locked: impl Fn(u64) -> bool) -> Executed {
    let program = program.to_string_lossy();
    let (mut executed, mut below, mut ours) = (Executed::default(), false, false);
    for line in text.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            ours = object == program;
        }
        let Some(address) = line.strip_prefix("0x") else {
            below |= line.starts_with("calls=");
            continue;
        };
        if std::mem::take(&mut below) {
            continue;
        }
        let mut words = address.split(' ');
        let (address, count) = (words.next(), words.nth(1).and_then(|count| count.parse::<u64>().ok()));
        let (Some(Ok(address)), Some(count)) = (address.map(|hex| u64::from_str_radix(hex, 16)), count)
        else {
            continue;
        };
        executed.instructions += count;
        if ours && is_locked(address) {
            executed.locked += count;
        }
    }
    executed
}

#[cfg(test)]
mod tests {
    use super::{Executed, parse};
    use std::path::Path;

    #[test]
    fn parse_counts_executed_instructions() {
        let text = "positions: instr line\nevents: Ir\n\nob=/program\nfl=a.rs\nfn=f\n0x10 1 5\n0x14 0 5\n\
            cob=/other\ncfn=g\ncalls=5 0x20 0\n0x18 2 500\n0x1c 3 5\n\nob=/other\nfn=g\n0x14 0 7\n";
        let executed = parse(text, Path::new("/program"), |address| address == 0x14);
        assert_eq!(executed, Executed { instructions: 22, locked: 5 });
    }
}
