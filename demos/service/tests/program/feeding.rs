//! The feed: clients that keep up, lag, return, and never read.

use crate::client::{Client, get};
use crate::support::{GUARD, Service, count, place};
use demo_support::Folder;
use serde_json::Value;
use std::thread::JoinHandle;

/// What a client of the feed received, up to its end.
#[derive(Debug, Default)]
struct Received {
    /// The sequences and the numbers of the orders.
    orders: Vec<(u64, u64)>,
    /// How many it missed, each with the orders that it had until then.
    lagged: Vec<(usize, u64)>,
    /// Whether the client was told first that the service was started again.
    restarted: bool,
    /// The sequence at which the feed ended.
    end: Option<u64>,
    last_id: Option<String>,
}

impl Received {
    fn missed(&self) -> u64 {
        self.lagged.iter().map(|(_, missed)| missed).sum()
    }

    /// Checks that each gap in the sequences was told, with its length, and nothing else was.
    #[track_caller]
    fn assert_gaps_are_told(&self, begin: u64) {
        let (mut next, mut lagged) = (begin, self.lagged.iter().peekable());
        for (index, (sequence, _)) in self.orders.iter().enumerate() {
            while let Some((_, missed)) = lagged.next_if(|(at, _)| *at == index) {
                next += missed;
            }
            assert_eq!(*sequence, next);
            next += 1;
        }
        next += lagged.map(|(_, missed)| missed).sum::<u64>();
        assert_eq!(self.end, Some(next));
    }
}

/// Opens the feed. Events that are published later reach the client.
#[track_caller]
fn open(mut client: Client, path: &str, last_id: Option<&str>) -> Client {
    let header = last_id.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
    client.send(&get(path).replace("\r\n\r\n", &format!("\r\n{header}\r\n"))).expect("a request");
    assert_eq!(client.head().expect("a head").0, 200);
    client
}

/// Reads the feed up to its end.
fn read(mut client: Client) -> Received {
    let (mut received, mut text) = (Received::default(), Vec::new());
    while client.chunk(&mut text).expect("a chunk") {}
    let text = String::from_utf8(text).expect("a text");
    for message in text.split("\n\n") {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let data = field("data").unwrap_or_default();
        match field("event") {
            Some("order") => {
                let order: Value = serde_json::from_str(data).expect("JSON");
                let id = field("id").expect("an id");
                let (_, sequence) = id.split_once('-').expect("a run and a sequence");
                received.last_id = Some(id.to_owned());
                received
                    .orders
                    .push((sequence.parse().expect("a number"), order["id"].as_u64().expect("a number")));
            }
            Some("lagged") => received.lagged.push((received.orders.len(), data.parse().expect("a number"))),
            Some("restarted") => {
                assert!(received.orders.is_empty() && received.lagged.is_empty());
                received.restarted = true;
            }
            Some("end") => received.end = data.parse().ok(),
            other => assert!(other.is_none() && data.is_empty(), "{message:?}"),
        }
    }
    received
}

fn read_on_a_thread(client: Client) -> JoinHandle<Received> {
    std::thread::spawn(move || read(client))
}

/// A connection that holds few bytes for its client.
fn narrow(service: &Service) -> Client {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let connect = async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        socket.connect(service.address).await?.into_std()
    };
    let stream = runtime.block_on(connect).expect("a connection");
    stream.set_nonblocking(false).expect("a setting");
    stream.set_read_timeout(Some(GUARD)).expect("a setting");
    Client::on(stream)
}

#[test]
fn client_that_keeps_up_gets_every_order() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--history", "100000"]);
    let reader = read_on_a_thread(open(service.client(), "/feed", None));
    let placed = place(&service, 500);
    let report = service.stop();
    let received = reader.join().expect("a reader");
    assert_eq!(received.orders.iter().map(|(_, id)| *id).collect::<Vec<_>>(), placed);
    received.assert_gaps_are_told(0);
    assert_eq!(received.missed(), 0);
    assert_eq!(count(&report, "/feed/readers/clients"), 1);
    assert_eq!(count(&report, "/feed/readers/ledger/delivered"), 500);
}

#[test]
fn lagging_client_is_told_and_continues() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--history", "64"]);
    let slow = open(narrow(&service), "/feed", None);
    let reader = read_on_a_thread(open(service.client(), "/feed", None));
    // More than the buffers of both ends hold for the client that does not read yet.
    let placed = place(&service, 12000).len() as u64;
    let slow = read_on_a_thread(slow);
    let report = service.stop();
    let (slow, reader) = (slow.join().expect("a reader"), reader.join().expect("a reader"));
    for received in [&slow, &reader] {
        received.assert_gaps_are_told(0);
        assert_eq!(received.orders.len() as u64 + received.missed(), placed);
    }
    assert!(slow.missed() > 0 && !slow.orders.is_empty());
    let missed = slow.missed() + reader.missed();
    assert_eq!(count(&report, "/feed/readers/ledger/dropped/evicted"), missed);
    assert_eq!(count(&report, "/feed/state/ledger/accepted"), placed);
}

#[test]
fn client_resumes_after_its_last_event() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--history", "1000"]);
    place(&service, 10);
    let mut first = open(service.client(), "/feed?last=4", None);
    let mut text = Vec::new();
    // The client hangs up after the first of four.
    first.chunk(&mut text).expect("a chunk");
    drop(first);
    let text = String::from_utf8(text).expect("a text");
    let id = text.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
    let again = read_on_a_thread(open(service.client(), "/feed", Some(id)));
    let earlier = read_on_a_thread(open(service.client(), "/feed", Some("1-3")));
    let future = id.replace("-6", "-600");
    let mut unknown = service.client();
    unknown
        .send(&get("/feed").replace("\r\n\r\n", &format!("\r\nlast-event-id: {future}\r\n\r\n")))
        .expect("sent");
    assert_eq!(unknown.answer().expect("an answer").status, 400);
    service.stop();
    let again = again.join().expect("a reader");
    assert!(!again.restarted);
    assert_eq!(again.orders.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [7, 8, 9]);
    let earlier = earlier.join().expect("a reader");
    assert_eq!((earlier.orders.len(), earlier.restarted), (10, true));
}

#[test]
fn client_is_told_that_the_service_was_restarted() {
    let folder = Folder::new();
    let service = Service::start(&folder, &[]);
    let reader = read_on_a_thread(open(service.client(), "/feed", None));
    place(&service, 3);
    service.stop();
    let before = reader.join().expect("a reader");
    let (id, restarted) = (before.last_id.expect("an id"), before.restarted);
    assert!(!restarted);
    let service = Service::start(&folder, &[]);
    let reader = read_on_a_thread(open(service.client(), "/feed", Some(&id)));
    place(&service, 2);
    service.stop();
    let after = reader.join().expect("a reader");
    assert_eq!((after.restarted, after.orders.len()), (true, 2));
}

#[test]
fn unread_feed_delays_no_other_client() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--history", "100000", "--limit-ms", "2000"]);
    let unread: Vec<_> = (0..8).map(|_| open(narrow(&service), "/feed", None)).collect();
    let reader = read_on_a_thread(open(service.client(), "/feed", None));
    let placed = place(&service, 4000);
    let report = service.stop();
    let received = reader.join().expect("a reader");
    assert_eq!(received.orders.len(), placed.len());
    assert_eq!((received.missed(), received.end), (0, Some(4000)));
    // The shutdown did not wait for them for ever, and that is no loss.
    assert_eq!(report["shutdown"]["hung_up"], false);
    assert_eq!(count(&report, "/feed/readers/clients"), 9);
    drop(unread);
}

#[test]
fn one_client_too_many_is_refused() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--clients", "1"]);
    let first = open(service.client(), "/feed", None);
    assert_eq!(service.client().request(&get("/feed")).expect("an answer").status, 503);
    let reader = read_on_a_thread(first);
    service.stop();
    assert_eq!(reader.join().expect("a reader").end, Some(0));
}
