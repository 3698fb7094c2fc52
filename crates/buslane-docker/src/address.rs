//! Where the engine is.

use crate::config::{DockerConfigError, Invalid};
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The address of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// The first of these sockets that is there, or the first one.
    Sockets(Vec<PathBuf>),
    /// A host and a port.
    Tcp(String),
}

/// The port of an engine without TLS.
const PORT: u16 = 2375;

impl Address {
    /// Parses an address in the form of `DOCKER_HOST`.
    pub(crate) fn parse(host: &str) -> Result<Self, DockerConfigError> {
        let (scheme, rest) = host.split_once("://").ok_or(Invalid::Host)?;
        match scheme {
            "unix" => Self::socket(Path::new(rest)),
            "tcp" | "http" => {
                let authority = rest.strip_suffix('/').unwrap_or(rest);
                Ok(Self::Tcp(with_port(authority).ok_or(Invalid::Host)?))
            }
            _ => {
                let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
                let invalid = if is_scheme { Invalid::Scheme(scheme.to_owned()) } else { Invalid::Host };
                Err(invalid.into())
            }
        }
    }

    /// Returns the address of a socket.
    pub(crate) fn socket(path: &Path) -> Result<Self, DockerConfigError> {
        if !path.is_absolute() {
            return Err(Invalid::Host.into());
        }
        if cfg!(not(unix)) {
            return Err(Invalid::NoUnixSockets.into());
        }
        Ok(Self::Sockets(vec![path.to_owned()]))
    }

    /// Returns the address from `DOCKER_HOST`, or the usual places of Docker's socket.
    pub(crate) fn from_environment() -> Result<Self, DockerConfigError> {
        Self::of_environment(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, DockerConfigError> {
        if let Some(host) = variable("DOCKER_HOST") {
            // Another engine in its place would be a surprise.
            let address = Self::parse(host.to_str().ok_or(Invalid::Host)?)?;
            // The variable has no effect on a socket.
            if matches!(address, Self::Tcp(_)) && variable("DOCKER_TLS_VERIFY").is_some() {
                return Err(Invalid::Tls.into());
            }
            return Ok(address);
        }
        let in_folder = |name: &str, rest: &str| Some(PathBuf::from(variable(name)?).join(rest));
        Self::first([
            Some(PathBuf::from("/var/run/docker.sock")),
            in_folder("XDG_RUNTIME_DIR", "docker.sock"),
            in_folder("HOME", ".docker/run/docker.sock"),
        ])
    }

    /// Returns the usual places of Podman's socket.
    pub(crate) fn podman() -> Result<Self, DockerConfigError> {
        let folder = env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
        Self::first([
            folder.map(|folder| PathBuf::from(folder).join("podman/podman.sock")),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ])
    }

    fn first(paths: impl IntoIterator<Item = Option<PathBuf>>) -> Result<Self, DockerConfigError> {
        if cfg!(not(unix)) {
            return Err(Invalid::NoUnixSockets.into());
        }
        Ok(Self::Sockets(paths.into_iter().flatten().collect()))
    }

    /// Returns the socket to connect to now. An engine may come later than its source.
    pub(crate) fn path(&self) -> Option<&Path> {
        let Self::Sockets(paths) = self else { return None };
        paths.iter().find(|path| path.exists()).or(paths.first()).map(PathBuf::as_path)
    }

    /// Returns the address with the socket to connect to now, so that all requests of a connection reach
    /// one engine.
    pub(crate) fn fixed(&self) -> Self {
        match self.path() {
            Some(path) => Self::Sockets(vec![path.to_owned()]),
            None => self.clone(),
        }
    }

    /// Returns the authority of the URL of a request.
    pub(crate) fn authority(&self) -> &str {
        match self {
            Self::Sockets(_) => "localhost",
            Self::Tcp(authority) => authority,
        }
    }
}

/// Writes the address that the next attempt connects to.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
            Self::Sockets(_) => match self.path() {
                Some(path) => write!(f, "unix://{}", path.display()),
                None => f.write_str("unix://"),
            },
        }
    }
}

/// Returns an authority with a port. `None` if it is invalid.
fn with_port(authority: &str) -> Option<String> {
    // Credentials would be visible in errors, and an engine without TLS has none.
    let parsed: ureq::http::uri::Authority = authority.parse().ok()?;
    if parsed.host().is_empty() || authority.contains('@') {
        return None;
    }
    let after_host = &authority[parsed.host().len()..];
    match after_host {
        "" => Some(format!("{authority}:{PORT}")),
        _ => parsed.port_u16().map(|_| authority.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::Address;
    use crate::config::DockerConfigErrorKind;
    use std::ffi::OsString;
    #[cfg(unix)]
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    #[test]
    fn addresses_have_the_form_of_docker_host() {
        let tcp = |authority: &str| Address::Tcp(authority.into());
        for (host, address) in [
            ("tcp://server:2376", tcp("server:2376")),
            ("tcp://10.0.0.1", tcp("10.0.0.1:2375")),
            ("http://[::1]:80/", tcp("[::1]:80")),
            ("http://[::1]", tcp("[::1]:2375")),
            #[cfg(unix)]
            ("unix:///run/docker.sock", Address::Sockets(vec![PathBuf::from("/run/docker.sock")])),
        ] {
            assert_eq!(Address::parse(host), Ok(address), "{host}");
        }
        for host in [
            "",
            "server",
            "tcp://",
            "tcp://me@server",
            "tcp://server:x",
            "tcp://server:70000",
            "tcp://a/b",
            "unix://",
            "unix://docker.sock",
            "://x",
            "a b://x",
            "tcp:///",
        ] {
            let error = Address::parse(host).unwrap_err();
            assert_eq!(error.kind(), DockerConfigErrorKind::Host, "{host}");
        }
        for (host, text) in
            [("ssh://me@server", "ssh"), ("npipe:////./pipe/docker_engine", "npipe"), ("https://x", "https")]
        {
            let error = Address::parse(host).unwrap_err().to_string();
            assert_eq!(error, format!("the scheme {text} is not supported: give unix://, tcp:// or http://"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn environment_decides_where_the_engine_is() {
        let of = |pairs: &[(&str, &str)]| {
            Address::of_environment(|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            })
        };
        let sockets = |paths: &[&str]| Ok(Address::Sockets(paths.iter().map(PathBuf::from).collect()));
        assert_eq!(of(&[]), sockets(&["/var/run/docker.sock"]));
        assert_eq!(
            of(&[("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/home/me")]),
            sockets(&["/var/run/docker.sock", "/run/user/7/docker.sock", "/home/me/.docker/run/docker.sock"])
        );
        assert_eq!(of(&[("DOCKER_HOST", "unix:///x"), ("DOCKER_TLS_VERIFY", "1")]), sockets(&["/x"]));
        assert_eq!(of(&[("DOCKER_HOST", "tcp://x")]), Ok(Address::Tcp("x:2375".into())));
        let tls = of(&[("DOCKER_HOST", "tcp://x"), ("DOCKER_TLS_VERIFY", "1")]).unwrap_err();
        assert_eq!(tls.kind(), DockerConfigErrorKind::Host);
        let invalid = OsString::from_vec(b"unix:///run/\xff".to_vec());
        let error =
            Address::of_environment(|name| (name == "DOCKER_HOST").then(|| invalid.clone())).unwrap_err();
        assert_eq!(error.kind(), DockerConfigErrorKind::Host);
    }

    #[cfg(unix)]
    #[test]
    fn fixed_address_keeps_its_socket() {
        let folder = std::env::temp_dir().join(format!("buslane-docker-fixed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (first, second) = (folder.join("first"), folder.join("second"));
        std::fs::write(&second, "").unwrap();
        let address = Address::Sockets(vec![first.clone(), second.clone()]);
        let fixed = address.fixed();
        std::fs::write(&first, "").unwrap();
        assert_eq!(address.path(), Some(&*first));
        assert_eq!(fixed.path(), Some(&*second));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
