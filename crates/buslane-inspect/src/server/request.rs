//! What a client may ask for: the request, parsed and checked.

use super::response::Refusal;
use buslane::stats::metrics::Format;
use std::time::Duration;

/// The most bytes of a request.
pub(super) const LIMIT: usize = 8 * 1024;

/// The most headers of a request.
const HEADERS: usize = 64;

const SHORTEST: u64 = 100;
const LONGEST: u64 = 60_000;

/// A request that is granted, as far as its text shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(super) wanted: Wanted,
    /// Whether the client may send another request on the connection.
    pub(super) keep: bool,
    /// Whether the client reads chunks: HTTP/1.1.
    pub(super) chunked: bool,
    /// The length of the request.
    pub(super) length: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Page,
    Snapshot,
    Snapshots { every: Duration },
    Metrics(Format),
    Tap(TapRequest),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TapRequest {
    pub(super) bus: String,
    pub(super) every: u64,
    /// The stream ends after this many events.
    pub(super) most: Option<u64>,
    pub(super) contains: String,
}

/// Parses the request at the begin of `bytes`; `None` if it is incomplete.
///
/// `is_tcp`: every user of the machine, and every page in a browser, can reach the port. Then the
/// header `Host` must name this machine: a name that resolves to 127.0.0.1 makes a browser treat
/// another origin as this one.
pub(crate) fn parse(bytes: &[u8], is_tcp: bool) -> Result<Option<Request>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let too_large =
        || Refusal::new(413, format!("a request has at most {LIMIT} bytes and {HEADERS} headers"));
    let length = match parsed.parse(&bytes[..bytes.len().min(LIMIT)]) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= LIMIT => return Err(too_large()),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
        Err(error) => return Err(Refusal::new(400, format!("the request is not HTTP: {error}"))),
    };
    let headers = Headers(parsed.headers);
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::new(400, "the request is not HTTP"));
    };
    headers.check_host(is_tcp)?;
    headers.check_origin()?;
    if headers.has_body() {
        return Err(Refusal::new(
            if method == "GET" { 400 } else { 405 },
            "a request has no body, and its method is GET",
        ));
    }
    if method != "GET" {
        return Err(Refusal::new(405, "the method must be GET"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // A link in another page may lead to the page, and to nothing else.
    if path != "/" && headers.is_of_another_site() {
        return Err(Refusal::new(403, "the request comes from a page of another origin"));
    }
    let wanted = wanted(path, query, headers.one("accept")?.unwrap_or_default())?;
    let chunked = version >= 1;
    let keep = chunked && !headers.all("connection").any(|value| names(value, "close"));
    Ok(Some(Request { wanted, keep, chunked, length }))
}

fn wanted(path: &str, query: &str, accept: &str) -> Result<Wanted, Refusal> {
    Ok(match path {
        "/" => Wanted::Page,
        "/snapshot" => Wanted::Snapshot,
        "/snapshots" => {
            let mut every = 1000;
            for (name, value) in parameters(query)? {
                match name.as_str() {
                    "every" => every = number(&name, &value, SHORTEST, LONGEST)?,
                    _ => return Err(unknown(&name)),
                }
            }
            Wanted::Snapshots { every: Duration::from_millis(every) }
        }
        "/metrics" => {
            let wants_plain = accept.contains("text/plain") && !accept.contains("openmetrics");
            Wanted::Metrics(if wants_plain { Format::Prometheus } else { Format::OpenMetrics })
        }
        "/tap" => {
            let mut tap = TapRequest { every: 1, ..TapRequest::default() };
            for (name, value) in parameters(query)? {
                match name.as_str() {
                    "bus" => tap.bus = value,
                    "every" => tap.every = number(&name, &value, 1, u64::MAX)?,
                    "most" => tap.most = Some(number(&name, &value, 1, u64::MAX)?),
                    "contains" => tap.contains = value,
                    _ => return Err(unknown(&name)),
                }
            }
            if tap.bus.is_empty() {
                return Err(Refusal::new(400, "the parameter bus is missing: it names a bus"));
            }
            Wanted::Tap(tap)
        }
        _ => {
            let text = "the path is unknown: it must be /, /snapshot, /snapshots, /metrics or /tap";
            return Err(Refusal::new(404, text));
        }
    })
}

fn unknown(name: &str) -> Refusal {
    Refusal::new(400, format!("the parameter {name:?} is unknown"))
}

fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64, Refusal> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        let most = if most == u64::MAX { String::new() } else { format!(" and at most {most}") };
        Refusal::new(
            400,
            format!("{name}={value:?} is invalid: it must be a number of at least {least}{most}"),
        )
    })
}

/// Returns the decoded parameters of a query.
fn parameters(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let invalid = || Refusal::new(400, "the query is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit().ok_or_else(invalid)?, digit().ok_or_else(invalid)?);
                // Two hexadecimal digits fit into a byte.
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| invalid())
}

struct Headers<'h, 'b>(&'h [httparse::Header<'b>]);

impl<'b> Headers<'_, 'b> {
    /// Returns the values of all headers with this name, without those that are not text.
    fn all(&self, name: &str) -> impl Iterator<Item = &'b str> {
        let found = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        found.filter_map(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    }

    /// Returns the value of a header that a request has at most once.
    fn one(&self, name: &str) -> Result<Option<&'b str>, Refusal> {
        let mut found = self.0.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let first = found.next();
        let text = first.map(|header| std::str::from_utf8(header.value).map(str::trim));
        match (text, found.next()) {
            (None, _) => Ok(None),
            (Some(Ok(value)), None) => Ok(Some(value)),
            _ => Err(Refusal::new(400, format!("the header {name} is invalid"))),
        }
    }

    fn check_host(&self, is_tcp: bool) -> Result<(), Refusal> {
        let host = self.one("host")?;
        if is_tcp && !host.is_some_and(is_this_machine) {
            return Err(Refusal::new(403, "the header Host must be localhost, 127.0.0.1 or [::1]"));
        }
        Ok(())
    }

    fn check_origin(&self) -> Result<(), Refusal> {
        let Some(origin) = self.one("origin")? else { return Ok(()) };
        let host = self.one("host")?.unwrap_or_default();
        let is_own = origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host));
        if is_own {
            Ok(())
        } else {
            Err(Refusal::new(403, "the request comes from a page of another origin"))
        }
    }

    /// Returns whether a browser sends the request for a page of another origin.
    fn is_of_another_site(&self) -> bool {
        self.all("sec-fetch-site").any(|site| site != "same-origin" && site != "none")
    }

    fn has_body(&self) -> bool {
        let length = self.all("content-length").any(|value| value != "0");
        length || self.all("transfer-encoding").next().is_some()
    }
}

/// Returns whether a comma-separated value has this name.
fn names(value: &str, name: &str) -> bool {
    value.split(',').any(|part| part.trim().eq_ignore_ascii_case(name))
}

/// Returns whether a value of the header `Host` names this machine, with any port: a port may be
/// forwarded.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}
