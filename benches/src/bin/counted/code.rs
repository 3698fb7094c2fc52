//! The machine code, read with `objdump`.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::process::Command;

/// The addresses of all locked instructions and fences of the program.
pub(crate) struct Code {
    locked: HashSet<u64>,
    /// The hot function: its instructions.
    hot: Vec<String>,
}

/// The fewest instructions of a hot function; a shorter one is the wrong function.
const SHORTEST: usize = 10;

impl Code {
    /// Disassembles the program; `hot` is the name of a function, without its path.
    pub(crate) fn of(program: &Path, hot: &str) -> Result<Self, Box<dyn Error>> {
        let output =
            Command::new("objdump").args(["-d", "-C", "--no-show-raw-insn"]).arg(program).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut code = Self { locked: HashSet::new(), hot: Vec::new() };
        let mut inside = false;
        for line in text.lines() {
            if let Some(name) = line.strip_suffix(">:") {
                inside = name.ends_with(&format!("::{hot}"));
            } else if let Some((address, instruction)) = line.trim_start().split_once(":\t") {
                let instruction = instruction.trim();
                if is_locked(instruction) {
                    code.locked.insert(u64::from_str_radix(address, 16)?);
                }
                if inside {
                    code.hot.push(instruction.to_owned());
                }
            }
        }
        if code.hot.len() < SHORTEST {
            return Err(format!("{hot}: found {} instructions", code.hot.len()).into());
        }
        Ok(code)
    }

    /// Returns whether this address holds a locked instruction or a fence.
    pub(crate) fn is_locked(&self, address: u64) -> bool {
        self.locked.contains(&address)
    }

    /// Returns the number of instructions of the hot function, and those that are locked or fences.
    pub(crate) fn hot(&self) -> (usize, Vec<&str>) {
        let locked = self.hot.iter().map(String::as_str).filter(|instruction| is_locked(instruction));
        (self.hot.len(), locked.collect())
    }
}

/// Returns whether an instruction is locked, a fence against later loads, or an exchange with
/// memory, which is always locked.
fn is_locked(instruction: &str) -> bool {
    let name = instruction.split_whitespace().next().unwrap_or("");
    name == "lock" || name == "mfence" || name.starts_with("xchg") && instruction.contains('(')
}

#[cfg(test)]
mod tests {
    use super::is_locked;

    #[test]
    fn locked_instructions_are_recognized() {
        for locked in
            ["lock cmpxchg %rcx,(%rdi)", "mfence", "xchg   %rax,0x8(%rdi)", "lock orl $0x0,-0x40(%rsp)"]
        {
            assert!(is_locked(locked), "{locked}");
        }
        for free in ["xchg   %ax,%ax", "mov    %rax,(%rdi)", "sfence", "cs nopw 0x0(%rax,%rax,1)"] {
            assert!(!is_locked(free), "{free}");
        }
    }
}
