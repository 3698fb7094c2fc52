//! An endpoint on loopback, which receives the notifications.

use demo_support::{Failure, Mark, Story, grouped, number_of};
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tiny_http::{Request, Response, Server};

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Accepts every batch.
    Well,
    /// Answers with 503.
    Failing,
    /// Does not answer.
    Hanging,
}

/// Returns how an endpoint behaves now.
pub(crate) type Moods = Box<dyn Fn() -> Mood + Send>;

/// What an endpoint received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) ids: HashSet<u64>,
    /// Events that arrived again, after the answer to their first arrival was lost.
    pub(crate) repeated: u64,
}

/// An endpoint on loopback, with a thread of its own.
pub(crate) struct Endpoint {
    server: Arc<Server>,
    pub(crate) url: String,
    thread: JoinHandle<()>,
    received: Arc<Mutex<Received>>,
}

#[derive(Deserialize)]
struct Envelope {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    id: u64,
}

impl Endpoint {
    pub(crate) fn start(name: &'static str, story: Story, moods: Moods) -> Result<Self, Failure> {
        let cannot = |error: &dyn std::fmt::Display| Failure::setup("cannot serve an endpoint", error);
        let server = Arc::new(Server::http("127.0.0.1:0").map_err(|error| cannot(&error))?);
        let received = Arc::<Mutex<Received>>::default();
        let attendant = Attendant { name, story, moods, mood: Mood::Well, received: received.clone() };
        let requests = server.clone();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || attendant.serve(&requests)).map_err(|error| cannot(&error))?;
        let url = format!("http://{}/notifications", server.server_addr());
        Ok(Self { server, url, thread, received })
    }

    /// Accepts no further requests, and returns what arrived.
    pub(crate) fn stop(self) -> Received {
        self.server.unblock();
        let _ = self.thread.join();
        std::mem::take(&mut *self.received.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The thread of an endpoint.
struct Attendant {
    name: &'static str,
    story: Story,
    moods: Moods,
    mood: Mood,
    received: Arc<Mutex<Received>>,
}

impl Attendant {
    fn serve(mut self, server: &Server) {
        let mut unanswered = Vec::new();
        for request in server.incoming_requests() {
            let mood = (self.moods)();
            if mood != self.mood {
                self.mood = mood;
                let (mark, what) = match mood {
                    Mood::Well => (Mark::Good, "accepts batches again"),
                    Mood::Failing => (Mark::Notice, "now answers 503 to every batch"),
                    Mood::Hanging => (Mark::Notice, "now does not answer"),
                };
                self.story.tell_as(mark, self.name, format_args!("the endpoint {what}"));
            }
            // A client that timed out is gone: dropping its request answers to no client.
            match mood {
                Mood::Hanging => unanswered.push(request),
                Mood::Failing => answer(request, 503),
                Mood::Well => {
                    unanswered.clear();
                    self.take(request);
                }
            }
        }
    }

    fn take(&self, mut request: Request) {
        let Ok(envelope) = serde_json::from_reader::<_, Envelope>(request.as_reader()) else {
            return answer(request, 400);
        };
        let (count, total) = {
            let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
            for event in &envelope.events {
                if !received.ids.insert(event.id) {
                    received.repeated += 1;
                }
            }
            (envelope.events.len() as u64, received.ids.len() as u64)
        };
        let (count, total) = (number_of(count, "event"), grouped(total));
        self.story.tell(self.name, format_args!("received {count}, {total} in total"));
        answer(request, 202);
    }
}

fn answer(request: Request, status: u16) {
    // The client may have hung up.
    let _ = request.respond(Response::empty(status));
}
