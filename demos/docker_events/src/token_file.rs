//! The file with the position to continue from.

use buslane_docker::DockerToken;
use demo_support::Failure;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The file of a token. A temporary one is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    is_temporary: bool,
}

impl TokenFile {
    /// Uses the file at this path, or a temporary one.
    pub(crate) fn at(path: Option<&Path>) -> Self {
        let temporary =
            || std::env::temp_dir().join(format!("buslane-docker-events-{}.token", std::process::id()));
        Self { path: path.map_or_else(temporary, Path::to_owned), is_temporary: path.is_none() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the token, or returns `None` if the file is not there.
    pub(crate) fn read(&self) -> Result<Option<DockerToken>, Failure> {
        let about = || format!("cannot read the token in {}", self.path.display());
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::setup(about(), error)),
        };
        let token = text.trim_end().parse().map_err(|error| Failure::setup(about(), error))?;
        Ok(Some(token))
    }

    /// Returns the text in the file.
    pub(crate) fn text(&self) -> Option<String> {
        fs::read_to_string(&self.path).ok().map(|text| text.trim_end().to_owned())
    }

    /// Replaces the token at `path`. A crash leaves the old one or the new one, and no part of either.
    pub(crate) fn store(path: &Path, token: &DockerToken) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let mut file = File::create(&new)?;
        writeln!(file, "{token}")?;
        file.sync_all()?;
        fs::rename(new, path)
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed is left to the system, which clears its directory for
            // temporary files.
            let _ = fs::remove_file(&self.path);
        }
    }
}
