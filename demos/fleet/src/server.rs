//! A NATS server of its own, and what the conductor asks of it.

use crate::options::Options;
use crate::request::{STREAM, SUBJECTS};
use buslane_nats::async_nats::jetstream::{self, Context, stream};
use buslane_nats::async_nats::{self, ConnectOptions};
use demo_support::process::{self, Process};
use demo_support::{Dice, Failure};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const PROGRAM: &str = "nats-server";
/// How long the server may take to start, and to answer a request.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);

/// Returns whether there is a server to start.
pub(crate) fn is_there() -> bool {
    let mut command = Command::new(PROGRAM);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Becomes the server, which ends with the process that started this one.
pub(crate) fn run(options: &Options, settings: &Path) -> Result<(), Failure> {
    process::end_with_parent(options.parent)?;
    let mut command = Command::new(PROGRAM);
    command.arg("-c").arg(settings);
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let error = std::io::Error::from(std::io::ErrorKind::Unsupported);
    Err(Failure::setup("cannot start the server", error))
}

/// Returns a port that no process listens at, below those that clients get.
fn free_port() -> Result<u16, Failure> {
    let mut dice = Dice::new(std::process::id().into());
    for _ in 0..1000 {
        let port = 20_000 + u16::try_from(dice.below(12_000)).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::Setup("no port is free".into()))
}

/// A server with its store in a folder.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
    runtime: Runtime,
}

impl Server {
    /// Starts a server on a free port of loopback, with a stream.
    pub(crate) fn start(folder: &Path) -> Result<Self, Failure> {
        let cannot = |error| Failure::setup("cannot prepare the server", error);
        let port = free_port()?;
        let file = |name: &str| folder.join(name).display().to_string();
        let settings = format!(
            "host: 127.0.0.1\nport: {port}\nlog_file: {:?}\njetstream {{ store_dir: {:?}, max_file_store: 1G }}\n",
            file("log"),
            file("store")
        );
        std::fs::write(folder.join("server.conf"), settings).map_err(cannot)?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().map_err(cannot)?;
        let mut server = Self { folder: folder.to_owned(), port, process: None, runtime };
        server.start_again()?;
        server.create_stream()?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts the server on the same port, with the same store, and waits until it is ready.
    pub(crate) fn start_again(&mut self) -> Result<(), Failure> {
        self.launch()?;
        let begin = Instant::now();
        while !self.is_ready() {
            if begin.elapsed() > PATIENCE {
                return Err(Failure::Broken(format!("the server is not ready after {PATIENCE:?}")));
            }
            std::thread::sleep(POLL);
            // Its port may be in use: a client that asks for it again and again may get it as its own.
            if self.process.as_mut().is_some_and(|process| process.ended().is_some()) {
                self.launch()?;
            }
        }
        Ok(())
    }

    fn launch(&mut self) -> Result<(), Failure> {
        let settings = self.folder.join("server.conf");
        self.process =
            Some(Process::of_this_program("the server", [OsStr::new("--server"), settings.as_os_str()])?);
        Ok(())
    }

    /// Returns whether the server greets a client, and has JetStream.
    fn is_ready(&self) -> bool {
        let Ok(connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else { return false };
        let _ = connection.set_read_timeout(Some(Duration::from_secs(1)));
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).is_ok() && line.contains("\"jetstream\":true")
    }

    /// The process of the server, for a signal and for its processor time.
    pub(crate) fn process(&mut self) -> Result<&mut Process, Failure> {
        self.process.as_mut().ok_or_else(|| Failure::Broken("the server is not running".into()))
    }

    fn create_stream(&self) -> Result<(), Failure> {
        let config = stream::Config {
            name: STREAM.into(),
            subjects: vec![SUBJECTS.into()],
            ..stream::Config::default()
        };
        self.ask(async |context| context.get_or_create_stream(config).await.map(drop))
    }

    /// Returns the number of messages in the stream, and the sequence of the last one.
    pub(crate) fn stored(&self) -> Result<(u64, u64), Failure> {
        self.ask(async |context| {
            let stream = context.get_stream(STREAM).await?;
            let state = &stream.cached_info().state;
            Ok::<_, jetstream::context::GetStreamError>((state.messages, state.last_sequence))
        })
    }

    /// Connects, and asks the server something.
    fn ask<T, E: std::fmt::Display>(
        &self,
        question: impl AsyncFnOnce(Context) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let answer = async {
            let client =
                ConnectOptions::new().connect(self.url()).await.map_err(|error| error.to_string())?;
            let context: Context = async_nats::jetstream::new(client);
            question(context).await.map_err(|error| error.to_string())
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
        let answer = answer.map_err(|_| "no answer".to_owned()).and_then(|answer| answer);
        answer.map_err(|error| Failure::broken("cannot ask the server", error))
    }
}
