//! A caching resolver for the address of the endpoint or its proxy.
//!
//! The HTTP client resolves the address before each request, even if it has a connection. Its own
//! resolver starts a thread for each lookup, because a lookup has no time limit. So addresses are
//! cached.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The lifetime of a cached address.
const LIFETIME: Duration = Duration::from_secs(30);

/// A resolver that caches the addresses of its last lookup. Clones share the cache.
#[derive(Clone, Debug)]
pub(crate) struct Remembering {
    found: Arc<Mutex<Option<Found>>>,
    /// The proxy that connections go to instead of the endpoint. The proxy resolves the endpoint.
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

    /// Clears the cache after a failed connection, so that the next request looks up again.
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

/// Returns the address if the host is an IP address, which needs no lookup.
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
