//! Connects clients and workers, and runs them.

use super::client::{Client, ClientTally};
use super::pace::{Pace, SystemClock};
use super::processor::{self, ProcessorTime};
use super::sample::Sample;
use super::worker::{Shared, Worker, WorkerTally};
use crate::options::{Options, Telemetry};
use crate::peers::Tap;
use crate::report::nanoseconds;
use demo_support::Failure;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

/// How a load is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) time: Duration,
    pub(crate) telemetry: Telemetry,
    /// The time between two requests of all clients together; `None` if each sends its next one
    /// with the reply to the last one.
    pub(crate) interval: Option<Duration>,
}

/// Clients and the connections that the workers will serve.
#[derive(Debug)]
pub(crate) struct Load {
    clients: Vec<Client>,
    /// The connections of each worker.
    served: Vec<Vec<TcpStream>>,
}

/// What clients and workers counted.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) workers: usize,
    pub(crate) elapsed: Duration,
    pub(crate) clients: ClientTally,
    pub(crate) workers_tally: WorkerTally,
    pub(crate) processor: ProcessorTime,
}

/// How long a service runs before latencies count, where telemetry is not switched.
const WARM_UP: Duration = Duration::from_millis(100);

impl Load {
    /// Connects all clients. A worker without a connection would have nothing to do, so there are
    /// not more of them.
    pub(crate) fn connect(listener: &TcpListener, options: &Options) -> Result<Self, Failure> {
        let workers = options.workers.min(options.connections).get();
        let mut load = Self { clients: Vec::new(), served: (0..workers).map(|_| Vec::new()).collect() };
        for number in 0..options.connections.get() {
            let (client, served) = connect(listener)
                .map_err(|error| Failure::setup(format!("cannot make connection {number}"), error))?;
            load.clients.push(Client::new(number as u64, client));
            load.served[number % workers].push(served);
        }
        Ok(load)
    }

    /// The number of workers, each of which takes a publishing half.
    pub(crate) fn workers(&self) -> usize {
        self.served.len()
    }

    /// Runs the load until the time is over or `woken` gets a message.
    pub(crate) fn run(
        self,
        plan: &Plan,
        taps: Vec<Tap<Sample>>,
        woken: &Receiver<()>,
    ) -> Result<Outcome, Failure> {
        let (shared, stopping) = (Shared::new(plan.telemetry != Telemetry::Off), AtomicBool::new(false));
        let workers = self.served.len();
        let (start, used) = (Instant::now(), processor::of_process());
        scope(|scope| {
            let threads = Threads::start(scope, self, (&shared, &stopping), taps, plan);
            if threads.is_ok() {
                alternate(&shared.telemetry, plan, woken);
            }
            // Clients end with their reply, and workers when their clients have hung up.
            stopping.store(true, Ordering::Relaxed);
            let (clients, workers_tally) = threads?.join()?;
            let used = processor::of_process().saturating_sub(used);
            let processor = ProcessorTime {
                clients: nanoseconds(clients.processor),
                workers: nanoseconds(workers_tally.processor),
                others: nanoseconds(used.saturating_sub(clients.processor + workers_tally.processor)),
            };
            Ok(Outcome { workers, elapsed: start.elapsed(), clients, workers_tally, processor })
        })
    }
}

/// Both ends of a new connection.
fn connect(listener: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    let address = client.local_addr()?;
    loop {
        let (served, peer) = listener.accept()?;
        // Requests of other clients would be published, and missing among those that our clients
        // count.
        if peer == address {
            client.set_nodelay(true)?;
            served.set_nodelay(true)?;
            return Ok((client, served));
        }
    }
}

/// Switches telemetry off and on, slice by slice, if it is to be switched, until the time is over or
/// `woken` gets a message.
fn alternate(telemetry: &AtomicBool, plan: &Plan, woken: &Receiver<()>) {
    let start = Instant::now();
    let length = match plan.telemetry {
        Telemetry::InTurns(slice) => slice,
        Telemetry::Off | Telemetry::On => plan.time,
    };
    let mut slices = 0;
    loop {
        let left = plan.time.saturating_sub(start.elapsed());
        let slice_end = length.saturating_mul(slices + 1);
        let slice = slice_end.saturating_sub(start.elapsed()).min(left);
        if left.is_zero() || woken.recv_timeout(slice).is_ok() {
            return;
        }
        slices += 1;
        if matches!(plan.telemetry, Telemetry::InTurns(_)) {
            telemetry.store(slices % 2 == 0, Ordering::Relaxed);
        }
    }
}

/// The threads of a run.
struct Threads<'scope> {
    workers: Vec<ScopedJoinHandle<'scope, io::Result<WorkerTally>>>,
    clients: Vec<ScopedJoinHandle<'scope, io::Result<ClientTally>>>,
}

impl<'scope> Threads<'scope> {
    fn start(
        scope: &'scope Scope<'scope, '_>,
        load: Load,
        (shared, stopping): (&'scope Shared, &'scope AtomicBool),
        taps: Vec<Tap<Sample>>,
        plan: &Plan,
    ) -> Result<Self, Failure> {
        let mut threads = Self { workers: Vec::new(), clients: Vec::new() };
        let (mut taps, first, clients) = (taps.into_iter(), Instant::now(), load.clients.len() as u32);
        for (number, streams) in load.served.into_iter().enumerate() {
            let tap = taps.next().unwrap_or(Tap::Nothing);
            let handle = Worker::new(number as u32, shared, tap, streams).and_then(|worker| {
                Builder::new().name(format!("worker-{number}")).spawn_scoped(scope, || worker.serve())
            });
            let cannot_start = |error| Failure::setup(format!("cannot start worker {number}"), error);
            threads.workers.push(handle.map_err(cannot_start)?);
        }
        for (number, client) in load.clients.into_iter().enumerate() {
            let name = format!("client-{number}");
            // The requests of all clients together are due at equal intervals.
            let offset = plan.interval.map(|interval| (interval * number as u32, interval * clients));
            let warm = if plan.telemetry == Telemetry::On { first + WARM_UP } else { first };
            let handle = Builder::new().name(name).spawn_scoped(scope, move || {
                let pace = offset.map(|(offset, interval)| Pace::new(first + offset, interval, SystemClock));
                client.run(stopping, warm, pace)
            });
            let cannot_start = |error| Failure::setup(format!("cannot start client {number}"), error);
            threads.clients.push(handle.map_err(cannot_start)?);
        }
        Ok(threads)
    }

    /// Waits for all of them, and adds up what they counted.
    fn join(self) -> Result<(ClientTally, WorkerTally), Failure> {
        let (mut clients, mut workers) = (ClientTally::new(), WorkerTally::new());
        for handle in self.clients {
            clients.add(&join("a client", handle)?);
        }
        for handle in self.workers {
            workers.add(&join("a worker", handle)?);
        }
        Ok((clients, workers))
    }
}

fn join<T>(who: &str, handle: ScopedJoinHandle<'_, io::Result<T>>) -> Result<T, Failure> {
    let ended = handle.join().map_err(|_| Failure::Broken(format!("{who} panicked")))?;
    ended.map_err(|error| Failure::broken(format!("{who} failed"), error))
}
