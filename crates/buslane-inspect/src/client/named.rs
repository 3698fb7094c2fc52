//! Targets from text: a path, an address, or the id of a process.

use super::found::find;
use super::target::Target;
use crate::error::ClientError;
use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;

/// Parses a path, `unix:/path`, `address:port`, or the id of a process of this user.
impl FromStr for Target {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok()) {
            return Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        if let Ok(pid) = text.parse() {
            return find(pid);
        }
        if text.contains('/') || Path::new(text).exists() {
            return Ok(Self::Unix(text.into()));
        }
        Err(ClientError::Invalid(text.to_owned()))
    }
}
