//! An OTLP receiver on the loopback interface that answers as scripted.

use crate::PATIENCE;
use buslane_otel::ObservedClient;
use opentelemetry_otlp::{LogExporter, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use test_support::lock;
use tiny_http::{Header, Request, Response, Server};

/// The answer to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// 200 for all records.
    Accept,
    /// 200 with this partial success.
    Partial(i64, &'static str),
    /// This status without a body.
    Status(u16),
    /// This status, with a `Retry-After`.
    After(u16, &'static str),
    /// 200 with these bytes.
    Bytes(&'static [u8]),
    /// No answer until the receiver is dropped.
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// Whether the answer accepted the request.
    accepted: bool,
}

/// A receiver that gives the scripted replies, and accepts every further request.
pub(crate) struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), replies)
    }

    pub(crate) fn at(address: SocketAddr, replies: impl IntoIterator<Item = Reply>) -> Self {
        let server = Arc::new(Server::http(address).unwrap());
        let address = server.server_addr().to_ip().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (serving, list, replies) = (server.clone(), received.clone(), replies.into_iter().collect());
        let thread = Some(thread::spawn(move || serve(&serving, &list, replies)));
        Self { address, received, server, thread }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        lock(&self.received).clone()
    }

    /// Returns the requests for logs that were accepted.
    pub(crate) fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        let accepted = self.requests().into_iter().filter(|request| request.accepted);
        accepted.map(|request| ExportLogsServiceRequest::decode(&request.body[..]).unwrap()).collect()
    }

    /// Returns the log records that were accepted, in their order.
    pub(crate) fn records(&self) -> Vec<LogRecord> {
        let resources = self.logs().into_iter().flat_map(|request| request.resource_logs);
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        scopes.flat_map(|scope| scope.log_records).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.unblock();
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(server: &Server, list: &Mutex<Vec<Received>>, mut replies: VecDeque<Reply>) {
    let mut held = Vec::new();
    while let Ok(mut request) = server.recv() {
        let mut body = Vec::new();
        if request.as_reader().read_to_end(&mut body).is_err() {
            continue;
        }
        let reply = replies.pop_front().unwrap_or(Reply::Accept);
        let accepted = matches!(reply, Reply::Accept | Reply::Partial(..) | Reply::Bytes(_));
        lock(list).push(Received { path: request.url().to_owned(), body, accepted });
        match reply {
            Reply::Hang => held.push(request),
            Reply::Accept => answer(request, 200, None, &[]),
            Reply::Status(status) => answer(request, status, None, &[]),
            Reply::After(status, wait) => answer(request, status, Some(wait), &[]),
            Reply::Bytes(bytes) => answer(request, 200, None, bytes),
            Reply::Partial(rejected_log_records, message) => {
                let partial =
                    ExportLogsPartialSuccess { rejected_log_records, error_message: message.to_owned() };
                let response = ExportLogsServiceResponse { partial_success: Some(partial) };
                answer(request, 200, None, &response.encode_to_vec());
            }
        }
    }
}

fn answer(request: Request, status: u16, retry_after: Option<&str>, body: &[u8]) {
    let mut response = Response::from_data(body).with_status_code(status);
    if let Some(wait) = retry_after {
        response.add_header(Header::from_bytes(&b"Retry-After"[..], wait).unwrap());
    }
    // The client may have given up.
    let _ = request.respond(response);
}

/// Returns an address at which no process listens.
pub(crate) fn unused_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Listens, closes `count` connections without an answer, and returns the address and the thread,
/// which ends when the port is free again.
pub(crate) fn hang_up(count: usize) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || listener.incoming().take(count).for_each(drop)))
}

/// Returns a client that uses each connection once, so that a receiver can end and come back.
pub(crate) fn client(timeout: Duration) -> reqwest::blocking::Client {
    reqwest::blocking::Client::builder().timeout(timeout).pool_max_idle_per_host(0).build().unwrap()
}

/// Returns an exporter to a receiver.
pub(crate) fn exporter(address: SocketAddr) -> LogExporter {
    exporter_within(address, PATIENCE)
}

/// Returns an exporter that waits for an answer for this time.
pub(crate) fn exporter_within(address: SocketAddr, timeout: Duration) -> LogExporter {
    let builder = LogExporter::builder().with_http().with_endpoint(format!("http://{address}/v1/logs"));
    let builder = builder.with_retry_policy(RetryPolicy::disabled());
    builder.with_http_client(ObservedClient::new(client(timeout))).build().unwrap()
}

/// Returns the value of an attribute.
///
/// # Panics
/// When the record has no such attribute, or two.
pub(crate) fn attribute(record: &LogRecord, key: &str) -> Value {
    let mut found = record.attributes.iter().filter(|attribute| attribute.key == key);
    let attribute = found.next().unwrap_or_else(|| panic!("no attribute {key}"));
    assert!(found.next().is_none(), "two attributes {key}");
    attribute.value.clone().unwrap().value.unwrap()
}

/// Returns the value of an attribute that is an integer.
pub(crate) fn integer(record: &LogRecord, key: &str) -> u64 {
    let Value::IntValue(number) = attribute(record, key) else { panic!("{key} is not an integer") };
    u64::try_from(number).unwrap()
}
