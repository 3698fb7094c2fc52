//! Asynchronous exporters: the context of a runtime, and a thread that has none.

use crate::probe::Probe;
use crate::{numbered, scope};
use buslane::{Sink, SinkExt, WriteError};
use buslane_otel::{ExportError, LogSink};
use std::future::poll_fn;
use std::task::Poll;
use std::thread;
use std::time::Duration;
use test_support::{assert_balanced, ends};

#[test]
fn runtime_context_serves_an_asynchronous_exporter() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let handle = runtime.handle().clone();
    let exporter = Probe(|_| async {
        // Panics without a reactor.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    });
    let sink = LogSink::new(exporter, scope(), numbered).within(move |export| {
        let _context = handle.enter();
        export();
    });
    let queue = sink.batch(4).queue(64).unwrap();
    for event in 0..10 {
        queue.write(event).unwrap();
    }
    let closing = queue.clone();
    assert!(ends(move || closing.close()).is_done());
    assert_eq!(assert_balanced(&queue.state()).delivered, 10);
}

#[test]
fn missing_reactor_is_counted_as_a_panic() {
    let exporter = Probe(|_| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    });
    let queue = LogSink::new(exporter, scope(), numbered).batch(4).queue(64).unwrap();
    queue.write(1).unwrap();
    assert!(queue.close().is_done());
    let state = queue.state();
    assert_eq!(assert_balanced(&state).dropped.panicked, 1);
    assert!(state.last_error.unwrap().contains("no reactor running"));
}

#[test]
fn wake_from_another_thread_continues_the_export() {
    let exporter = Probe(|_| {
        let mut polls = 0;
        poll_fn(move |context| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(Ok(()));
            }
            let waker = context.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        })
    });
    let sink = LogSink::new(exporter, scope(), numbered);
    ends(move || sink.write(vec![1])).unwrap();
}

#[test]
fn context_that_runs_nothing_fails_the_export() {
    let sink = LogSink::new(Probe(|_| async { Ok(()) }), scope(), numbered).within(|_| ());
    let Err(WriteError::Failed { event, source }) = sink.write(vec![1]) else { panic!("it did not fail") };
    assert_eq!(event, [1]);
    assert!(matches!(source.downcast_ref(), Some(ExportError::Exporter(_))));
    let twice = LogSink::new(Probe(|_| async { Ok(()) }), scope(), numbered).within(|export| {
        export();
        export();
    });
    twice.write(vec![1]).unwrap();
}
