//! Looking up the endpoint's address.
//!
//! The client asks for it before each request, also when it has a connection, and its own resolver starts a thread each time,
//! because a lookup cannot be given a limit. So what was found is remembered for a while.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an address is believed in.
const LIFETIME: Duration = Duration::from_secs(30);

/// A resolver that remembers what it found last. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Remembering {
    found: Arc<Mutex<Option<Found>>>,
    /// What is connected to, when it is not the endpoint: its proxy. That looks up the endpoint.
    proxy: Option<Uri>,
}

#[derive(Debug)]
struct Found {
    authority: String,
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Remembering {
    pub(crate) fn new(proxy: Option<Uri>) -> Self {
        Self { found: Arc::default(), proxy }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks anew next time: what was found is of no use.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    fn remembered(&self, authority: &str) -> Option<Vec<SocketAddr>> {
        let found = self.lock();
        let found = found.as_ref().filter(|found| found.authority == authority)?;
        (found.at.elapsed() < LIFETIME).then(|| found.addresses.clone())
    }

    fn remember(&self, authority: String, addresses: Vec<SocketAddr>) {
        *self.lock() = Some(Found { authority, addresses, at: Instant::now() });
    }

    fn list(&self, addresses: &[SocketAddr]) -> ResolvedSocketAddrs {
        let mut list = self.empty();
        addresses.iter().for_each(|address| list.push(*address));
        list
    }
}

/// The address of a host that is one, and so need not be looked up.
fn literal(uri: &Uri, authority: &str) -> Option<SocketAddr> {
    let host = uri.host()?;
    let address: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    let port = authority.rsplit(':').next()?.parse().ok()?;
    Some(SocketAddr::new(address, port))
}

impl Resolver for Remembering {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let uri = self.proxy.as_ref().unwrap_or(uri);
        let authority = uri
            .scheme()
            .zip(uri.authority())
            .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
            .ok_or(Error::HostNotFound)?;
        if let Some(address) = literal(uri, &authority) {
            return Ok(self.list(&[address]));
        }
        if let Some(addresses) = self.remembered(&authority) {
            return Ok(self.list(&addresses));
        }
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        self.remember(authority, found.to_vec());
        Ok(found)
    }
}
