//! A source that follows a running service, also across its restarts.

use super::{Recorder, Update};
use crate::service::{Service, successor};
use std::thread;
use std::time::Duration;

/// The pause before the first attempt to connect again, and the longest one.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// Follows a service until `send` returns `false`. Each frame is recorded before it is sent.
pub(crate) fn follow(
    service: Service,
    every: Duration,
    mut recorder: Option<Recorder>,
    mut send: impl FnMut(Update) -> bool,
) {
    let Service { mut client, frame: mut last, is_by_process } = service;
    let [first_pause, longest_pause] = PAUSES;
    let mut pause = first_pause;
    loop {
        let reason = match client.follow(every) {
            Err(error) => error.to_string(),
            Ok(frames) => {
                let mut reason = format!("{} has closed the connection", client.target());
                for frame in frames {
                    match frame {
                        Err(error) => reason = error.to_string(),
                        Ok(frame) => {
                            pause = first_pause;
                            last.clone_from(&frame);
                            let recorded =
                                recorder.as_mut().map_or(Ok(()), |recorder| recorder.record(&frame));
                            let note = recorded.err().map(|failure| Update::Note(failure.to_string()));
                            if !note.is_none_or(&mut send) || !send(Update::Frame(Box::new(frame))) {
                                return;
                            }
                        }
                    }
                }
                reason
            }
        };
        if !send(Update::Lost(reason)) {
            return;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(longest_pause);
        // A new process has another socket. While the old one answers, it is not replaced.
        if is_by_process
            && client.snapshot().is_err()
            && let Some(next) = successor(&last)
        {
            client = next.client;
        }
    }
}
