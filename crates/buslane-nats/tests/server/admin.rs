//! What the tests ask of the server themselves, by the plain client.

use buslane_nats::async_nats::jetstream::consumer::{AckPolicy, Info, pull};
use buslane_nats::async_nats::jetstream::stream::{Config, DiscardPolicy};
use buslane_nats::async_nats::jetstream::{self, Context};
use buslane_nats::async_nats::{Client, ConnectOptions};
use futures_util::StreamExt;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Admin {
    runtime: Runtime,
    context: Context,
    client: Client,
}

impl Admin {
    pub(crate) fn connect(url: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options = ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(20));
        let client = runtime.block_on(options.connect(url)).unwrap();
        let context = {
            // It starts a task.
            let _context = runtime.enter();
            jetstream::new(client.clone())
        };
        Self { runtime, context, client }
    }

    /// Runs a request until it succeeds: the client may not be connected again after a restart.
    fn until<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(&self, request: impl Fn() -> F) -> T {
        let mut last = String::new();
        for _ in 0..20 {
            match self.runtime.block_on(request()) {
                Ok(value) => return value,
                Err(error) => last = error.to_string(),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{last}")
    }

    /// Returns the settings of a stream in files.
    pub(crate) fn config(&self, name: &str) -> Config {
        Config { name: name.to_owned(), subjects: vec![format!("{name}.>")], ..Config::default() }
    }

    /// Returns the settings of a stream that refuses what it has no room for.
    pub(crate) fn bounded(&self, name: &str, messages: i64, discard: DiscardPolicy) -> Config {
        Config { max_messages: messages, discard, ..self.config(name) }
    }

    pub(crate) fn create(&self, config: Config) {
        self.until(|| async { self.context.create_stream(config.clone()).await.map(drop) });
    }

    pub(crate) fn delete(&self, name: &str) {
        self.until(|| async { self.context.delete_stream(name).await.map(drop) });
    }

    pub(crate) fn update(&self, config: &Config) {
        self.until(|| async { self.context.update_stream(config).await.map(drop) });
    }

    pub(crate) fn purge(&self, name: &str) {
        self.until(|| async {
            let stream = self.context.get_stream(name).await.map_err(|error| error.to_string())?;
            stream.purge().await.map(drop).map_err(|error| error.to_string())
        });
    }

    /// Returns the number of messages in a stream.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.until(|| async {
            self.context.get_stream(name).await.map(|stream| stream.cached_info().state.messages)
        })
    }

    /// Publishes without an acknowledgement.
    pub(crate) fn publish(&self, subject: &str, payload: &str) {
        self.until(|| async { self.client.publish(subject.to_owned(), payload.to_owned().into()).await });
    }

    /// Waits until the server has what was published.
    pub(crate) fn flush(&self) {
        self.until(|| async { self.client.flush().await });
    }

    fn consumer(&self, stream: &str, consumer: &str) -> Info {
        self.until(|| async {
            let stream = self.context.get_stream(stream).await.map_err(|error| error.to_string())?;
            stream.consumer_info(consumer).await.map_err(|error| error.to_string())
        })
    }

    /// Returns the number of messages that a consumer has not acknowledged, delivered or not.
    pub(crate) fn unacknowledged(&self, stream: &str, consumer: &str) -> u64 {
        let info = self.consumer(stream, consumer);
        info.num_pending + info.num_ack_pending as u64
    }

    /// Returns the number of messages that were delivered again and are not acknowledged.
    pub(crate) fn redelivered(&self, stream: &str, consumer: &str) -> usize {
        self.consumer(stream, consumer).num_redelivered
    }

    /// Reads a stream from its start to its end.
    pub(crate) fn read(&self, name: &str) -> Vec<u64> {
        let count = usize::try_from(self.count(name)).unwrap();
        self.runtime.block_on(async {
            let stream = self.context.get_stream(name).await.unwrap();
            let config = pull::Config {
                ack_policy: AckPolicy::Explicit,
                max_ack_pending: -1,
                ..pull::Config::default()
            };
            let consumer = stream.create_consumer(config).await.unwrap();
            let mut numbers = Vec::with_capacity(count);
            while numbers.len() < count {
                let mut messages = consumer.fetch().max_messages(10_000).messages().await.unwrap();
                while let Some(message) = messages.next().await {
                    numbers.push(serde_json::from_slice(&message.unwrap().payload).unwrap());
                }
            }
            numbers
        })
    }
}
