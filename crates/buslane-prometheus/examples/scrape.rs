//! Serves a registry of prometheus-client with two buses, at `/metrics`, until it is stopped. At
//! `/core` it serves the page that buslane writes itself, which has the same series.
//!
//! Run it with `cargo run -p buslane-prometheus --example scrape 127.0.0.1:9464`.

use buslane::stats::metrics::{Exposition, Format};
use buslane::{Bus, Channel, Queue};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// A name with every character that the formats escape.
const AUDIT: &str = "audit \"log\" \\ \n {x=\"y\"} # ü";

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9464".to_owned());
    let (orders, audit) = (Bus::new(), Bus::new());
    orders.add_named("log", Queue::builder().spawn(|_: u64| ())?)?;
    let (feed, _receiver) = Channel::lossy(4)?; // never read, so that it drops events
    orders.add_named("feed", feed)?;
    audit.add_named(AUDIT, Queue::builder().spawn(|_: String| ())?)?;
    for number in 0..10 {
        let _ = orders.publish(number)?;
        let _ = audit.publish(number.to_string())?;
    }
    assert!(audit.flush_timeout(Duration::from_secs(10)).is_done());

    let mut registry = Registry::default();
    buslane_prometheus::register(&mut registry, "orders", &orders).add(AUDIT, &audit);
    let listener = TcpListener::bind(address)?;
    println!("http://{}/metrics", listener.local_addr()?);
    for stream in listener.incoming() {
        if let Err(error) = stream.map_err(Into::into).and_then(|it| answer(it, &registry, &orders, &audit)) {
            eprintln!("a scrape failed: {error}");
        }
    }
    Ok(())
}

/// Answers one request.
fn answer(
    mut stream: TcpStream,
    registry: &Registry,
    orders: &Bus<u64>,
    audit: &Bus<String>,
) -> Result<(), Box<dyn Error>> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let lines = BufReader::new(&stream).take(8192).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let mut page = String::new();
    if head.first().is_some_and(|line| line.starts_with("GET /core ")) {
        let (orders, audit) = (orders.snapshot(), audit.snapshot());
        page = Exposition::new().bus("orders", &orders).bus(AUDIT, &audit).to_string();
    } else {
        encode(&mut page, registry)?;
    }
    let (kind, length) = (Format::OpenMetrics.content_type(), page.len());
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{page}")?;
    Ok(())
}
