//! Runs the service, from its start to its report.

use crate::api;
use crate::audit::Writer;
use crate::database::Database;
use crate::options::Serve;
use crate::report::Outcome;
use crate::service::Service;
use crate::shutdown::{self, Ending};
use crate::telemetry::Telemetry;
use axum::serve::ListenerExt;
use demo_support::{Failure, Story};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::info;

/// How many bytes the kernel holds for a client that does not read. Without it, a client of the feed
/// that reads slowly would fill megabytes before it lags.
const SEND_BUFFER: u32 = 64 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Which steps of the shutdown were done in time.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Steps {
    /// All requests were answered.
    pub(crate) answered: bool,
    /// All clients have read their answers, and the feed to its end.
    pub(crate) hung_up: bool,
    /// All orders are in the database.
    pub(crate) written: bool,
}

/// Serves until the end is requested, and reports what was delivered.
pub(crate) fn run(settings: &Serve, is_json: bool) -> Result<(), Failure> {
    // A reader of standard output that goes away does not end the service.
    let story = Story::start(is_json, || ());
    let runtime = runtime(settings)?;
    let listener = runtime
        .block_on(async { listen(settings.address) })
        .map_err(|error| Failure::setup(format!("cannot listen on {}", settings.address), error))?;
    let (database, earlier) = Database::open(&settings.database, settings.durable).map_err(|error| {
        Failure::setup(format!("cannot open the database {}", settings.database.display()), error)
    })?;
    let telemetry = Telemetry::start(settings.telemetry, &settings.log)?;
    let (service, writer) = Service::new(settings, earlier, telemetry)?;
    let ending = shutdown::listen(settings.until_stdin_ends)?;
    let running = serve(settings, &story, &service, listener, (writer, database), ending);
    let steps = runtime.block_on(running)?;
    // Closes the connections whose clients do not read, and so settles the ledger of the feed.
    runtime.shutdown_timeout(settings.limit);
    // Here nothing logs any more, and the calls that wait have a thread of their own: this one.
    let log = service.telemetry.close(settings.limit);
    let outcome = Outcome::new(&service, steps, log);
    outcome.print(&story);
    demo_support::console::finish()?;
    outcome.verdict()
}

fn runtime(settings: &Serve) -> Result<Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = settings.threads {
        builder.worker_threads(threads.get());
    }
    builder.enable_all().build().map_err(|error| Failure::setup("cannot start the runtime", error))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A service that starts again takes its port, also while old connections of it are ending.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the end is requested, and then ends one part after the other, each within the limit.
async fn serve(
    settings: &Serve,
    story: &Story,
    service: &Arc<Service>,
    listener: TcpListener,
    (writer, database): (Writer, Database),
    ending: Ending,
) -> Result<Steps, Failure> {
    let address = listener.local_addr().map_err(|error| Failure::setup("cannot listen", error))?;
    let listener = listener.tap_io(|connection| {
        // Without it answers may be late, not lost.
        let _ = connection.set_nodelay(true);
    });
    let writer = tokio::spawn(writer.run(database));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, api::router(service.clone()));
    let server = server.with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());
    info!(%address, "serving");
    story.tell("service", format_args!("listens on {address}"));

    let reason = ending.await.unwrap_or("the end of the signals");
    story.tell("service", format_args!("stops because of {reason}"));
    let mut steps = Steps::default();
    drop(stop);
    steps.answered = within(settings.limit, service.admission.close()).await;
    // No request that could publish is left, so the feed ends after its last order.
    service.feed.close();
    steps.hung_up = within(settings.limit, server).await;
    service.audit.close();
    steps.written = match timeout(settings.limit, writer).await {
        Ok(ended) => ended.is_ok(),
        Err(_) => false,
    };
    info!(reason, "stopped");
    Ok(steps)
}

/// Returns whether the step is done within the limit.
async fn within(limit: Duration, step: impl Future) -> bool {
    timeout(limit, step).await.is_ok()
}
