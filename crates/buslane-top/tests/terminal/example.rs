//! The example `inspect` of buslane-inspect: a service in a process of its own.

use crate::folder::Folder;
use buslane_inspect::Frame;
use buslane_inspect::client::Client;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use test_support::ends;

/// A running example, with its socket in a folder.
#[derive(Debug)]
pub(crate) struct Example {
    child: Child,
    target: String,
}

impl Example {
    /// Starts the example at an address. `unix` is the default socket, below the folder.
    ///
    /// Returns `None` with a notice if it is not built.
    pub(crate) fn start(folder: &Folder, at: &str, arguments: &[&str]) -> Option<Self> {
        let Some(path) = built() else {
            assert!(std::env::var_os("BUSLANE_TERMINAL").is_none(), "the example inspect is not built");
            static NOTICE: Once = Once::new();
            NOTICE.call_once(|| {
                let notice = "skipped, no test of another process: cargo build -p buslane-inspect --examples";
                let _ = writeln!(std::io::stderr(), "{notice}");
            });
            return None;
        };
        let mut child = Command::new(path)
            .arg(at)
            .args(arguments)
            .env("XDG_RUNTIME_DIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let line = ends(move || {
            let mut line = String::new();
            lines.read_line(&mut line).map(|_| line)
        });
        let line = line.unwrap();
        let at =
            line.trim().strip_prefix("serving at ").unwrap_or_else(|| panic!("the example prints {line:?}"));
        Some(Self { child, target: at.trim_start_matches("unix:").to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the argument that names the service by its address.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Takes a frame.
    pub(crate) fn frame(&self) -> Frame {
        Client::connect(self.target.parse().unwrap()).unwrap().snapshot().unwrap()
    }

    /// Ends the process without its knowledge. Its socket stays.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.end();
    }
}

fn built() -> Option<PathBuf> {
    let path = Path::new(crate::program::PATH).with_file_name("examples").join("inspect");
    path.exists().then_some(path)
}
