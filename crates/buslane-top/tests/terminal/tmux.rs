//! A pseudo-terminal: a tmux server of its own, whose screen tests read.

use crate::folder::Folder;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::Instant;
use test_support::GUARD;

/// The variable that makes a missing tmux a failure. `.ci/terminal` sets it.
const REQUIRED: &str = "BUSLANE_TERMINAL";

/// A terminal in which one program runs.
#[derive(Debug)]
pub(crate) struct Terminal {
    folder: Folder,
}

impl Terminal {
    /// Starts a program. After its end, the screen shows `exit code N`, and `restored` if the modes of
    /// the terminal are those from before its start.
    ///
    /// Returns `None` with a notice if there is no tmux.
    pub(crate) fn start(width: u16, height: u16, program: &[&str]) -> Option<Self> {
        let found = Command::new("tmux").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            assert!(std::env::var_os(REQUIRED).is_none(), "there is no tmux");
            // Once, and not captured as what a test prints would be.
            static NOTICE: Once = Once::new();
            NOTICE.call_once(|| {
                let _ = writeln!(io::stderr(), "skipped, no test in a terminal: there is no tmux");
            });
            return None;
        }
        let terminal = Self { folder: Folder::new() };
        let quoted: Vec<_> = program.iter().map(|text| format!("'{text}'")).collect();
        let script = format!(
            "before=$(stty -g); {}; code=$?; [ \"$before\" != \"$(stty -g)\" ] || echo restored; \
             echo \"exit code $code\"; exec cat",
            quoted.join(" ")
        );
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, &script]);
        // The size of the window is that of the test, and not of a client that attaches.
        terminal.tmux(&["set-option", "-g", "window-size", "manual"]);
        // An escape key is an escape key at once.
        terminal.tmux(&["set-option", "-s", "escape-time", "0"]);
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-f", "/dev/null", "-L", "test"])
            .args(arguments)
            .env("TMUX_TMPDIR", self.folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env("SHELL", "/bin/sh")
            .env_remove("TMUX")
            .output()
            .unwrap();
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the lines of the screen.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Returns the lines of the screen, with the sequences of its styles.
    pub(crate) fn styled(&self) -> String {
        self.tmux(&["capture-pane", "-e", "-p"])
    }

    /// Presses keys, by their tmux names.
    pub(crate) fn press(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        self.tmux(&arguments);
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// Returns whether the terminal shows its alternate screen.
    pub(crate) fn is_alternate(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// Returns whether the cursor is visible.
    pub(crate) fn has_cursor(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{cursor_flag}"]).trim() == "1"
    }

    /// Returns the id of the first process in the terminal, the parent of the program.
    pub(crate) fn shell(&self) -> u32 {
        self.tmux(&["display-message", "-p", "#{pane_pid}"]).trim().parse().unwrap()
    }

    /// Waits until the screen meets a condition, and returns it.
    ///
    /// A screen may be read in the middle of a frame: the condition is all that a test asks of it.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if condition(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < GUARD, "{what} does not appear:\n{screen}");
            std::thread::yield_now();
        }
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_all(&[text])
    }

    /// Waits until the screen shows each of the texts.
    #[track_caller]
    pub(crate) fn wait_for_all(&self, texts: &[&str]) -> String {
        self.wait(&format!("{texts:?}"), |screen| texts.iter().all(|text| screen.contains(text)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", "test", "kill-server"])
            .env("TMUX_TMPDIR", self.folder.path())
            .env_remove("TMUX")
            .stderr(Stdio::null())
            .status();
    }
}
