//! Serves the metrics of a bus to Prometheus, with a server of the standard library.
//!
//! Run it with `cargo run --example openmetrics`. With an address, such as `127.0.0.1:9464`, it serves
//! the page until it is stopped. Without one it prints the lines of a full channel that are not 0:
//!
//! ```text
//! buslane_sink_info{bus="telemetry",sink="feed",kind="channel"} 1
//! buslane_sink_open{bus="telemetry",sink="feed"} 1
//! buslane_sink_offered_events_total{bus="telemetry",sink="feed"} 10
//! buslane_sink_accepted_events_total{bus="telemetry",sink="feed"} 10
//! buslane_sink_dropped_events_total{bus="telemetry",sink="feed",reason="full"} 6
//! buslane_sink_pending_events{bus="telemetry",sink="feed"} 4
//! buslane_sink_depth_events{bus="telemetry",sink="feed"} 4
//! buslane_sink_lane_capacity_events{bus="telemetry",sink="feed"} 4
//! ```

use buslane::stats::metrics::{Exposition, Format};
use buslane::{Bus, Channel, noop};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new();
    bus.add_named("nothing", noop())?;
    let (feed, _receiver) = Channel::lossy(4)?; // never read, so that it drops events
    bus.add_named("feed", feed)?;
    for number in 0..10 {
        let _ = bus.publish(number)?;
    }
    let Some(address) = std::env::args().nth(1) else {
        let page = page(&bus, Format::OpenMetrics);
        let is_shown = |line: &&str| line.contains("\"feed\"") && !line.ends_with(" 0");
        page.lines().filter(is_shown).for_each(|line| println!("{line}"));
        return Ok(());
    };
    let listener = TcpListener::bind(address)?;
    println!("http://{}/metrics", listener.local_addr()?);
    for (number, stream) in (10..).zip(listener.incoming()) {
        let _ = bus.publish(number)?; // one more event for each scrape
        if let Err(error) = stream.and_then(|stream| answer(stream, &bus)) {
            eprintln!("a scrape failed: {error}");
        }
    }
    Ok(())
}

fn page(bus: &Bus<u64>, format: Format) -> String {
    Exposition::new().format(format).bus("telemetry", &bus.snapshot()).to_string()
}

/// Answers any request with the page, in the format that the request accepts.
fn answer(mut stream: TcpStream, bus: &Bus<u64>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    let lines = BufReader::new(&stream).take(8192).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let format = Format::accepted(&head.join("\n"));
    let (kind, body) = (format.content_type(), page(bus, format));
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
}
