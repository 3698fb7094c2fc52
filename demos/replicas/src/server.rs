//! An HTTP endpoint on loopback, with a few threads that answer requests.

use crate::wire::answer;
use demo_support::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::thread::JoinHandle;
use tiny_http::{Request, Response, Server};

/// What answers the requests of an endpoint, on several threads at once.
pub(crate) trait Service: Send + Sync + 'static {
    /// Returns the body of an answer with status 200, or another status.
    fn answer(&self, path: &str, body: &[u8]) -> Answer;
}

/// The body of an answer with status 200, or another status.
pub(crate) type Answer = Result<Vec<u8>, u16>;

/// Makes an answer of a value.
pub(crate) fn body(value: &impl Serialize) -> Answer {
    Ok(serde_json::to_vec(value).expect("an answer is valid JSON"))
}

/// Reads the body of a request.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, u16> {
    serde_json::from_slice(body).map_err(|_| answer::BAD_REQUEST)
}

/// An endpoint. Its requests are answered until it is dropped.
pub(crate) struct Endpoint {
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
    pub(crate) url: String,
}

impl Endpoint {
    /// Listens on a free port, and answers on `threads` threads.
    pub(crate) fn open(threads: usize, service: &Arc<impl Service>) -> Result<Self, Failure> {
        let cannot = |error: &dyn std::fmt::Display| Failure::setup("cannot serve an endpoint", error);
        let server = Arc::new(Server::http("127.0.0.1:0").map_err(|error| cannot(&error))?);
        let url = format!("http://{}", server.server_addr());
        let mut endpoint = Self { server, threads: Vec::new(), url };
        for number in 0..threads {
            let (server, service) = (endpoint.server.clone(), service.clone());
            let thread = std::thread::Builder::new().name(format!("endpoint {number}"));
            // It ends when the endpoint is dropped.
            let serve = move || server.incoming_requests().for_each(|request| respond(request, &*service));
            endpoint.threads.push(thread.spawn(serve).map_err(|error| cannot(&error))?);
        }
        Ok(endpoint)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Each call ends one thread.
        self.threads.iter().for_each(|_| self.server.unblock());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn respond(mut request: Request, service: &impl Service) {
    let mut body = Vec::new();
    let answered = match request.as_reader().read_to_end(&mut body) {
        Ok(_) => service.answer(request.url(), &body),
        Err(_) => Err(answer::BAD_REQUEST),
    };
    // The client may have hung up.
    let _ = match answered {
        Ok(body) => request.respond(Response::from_data(body)),
        Err(status) => request.respond(Response::empty(status)),
    };
}
