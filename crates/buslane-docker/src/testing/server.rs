//! The connections of an engine, and its answers.

use super::http::{Head, read_request, write};
use super::query::EventQuery;
use super::request::{Answer, Endpoint, ScriptedRequest};
use super::state::{Core, Route};
use super::stream::{StreamHead, follow};
use super::time;
use serde_json::{Value, json};
use std::io::{self, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Accepts connections until the engine stops. The threads of connections end with these, and are
/// returned.
pub(super) fn accept(core: &Arc<Core>, listener: &UnixListener) -> Vec<JoinHandle<()>> {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for connection in listener.incoming().flatten() {
        if !core.lock().is_listening {
            break;
        }
        let Ok(shared) = connection.try_clone() else { continue };
        let number = core.change(|state| state.accept(shared));
        let core = core.clone();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread::spawn(move || {
            serve(&core, number, connection);
            core.change(|state| state.close(number));
        }));
    }
    threads
}

/// Answers requests until one of both sides ends the connection.
fn serve(core: &Core, number: u64, socket: UnixStream) {
    let Ok(reading) = socket.try_clone() else { return };
    let mut reader = BufReader::new(reading);
    while let Some(request) = read_request(&mut reader) {
        let route = core.change(|state| state.route(number, &request));
        let answer = match route {
            Route::Stopped => return,
            Route::Scripted(answer) => Scripted(answer),
            Route::Normal => {
                core.wait_released(number, request.endpoint());
                own_answer(core, &request)
            }
        };
        match answer {
            Scripted(Answer::Status(status, text)) => {
                if !write(&socket, &message(core, &request, status, &text)) {
                    return;
                }
            }
            Scripted(Answer::Bytes(bytes)) => {
                write(&socket, &bytes);
                return;
            }
            Scripted(Answer::Silence) => {
                let _ = io::copy(&mut reader, &mut io::sink());
                return;
            }
            Scripted(Answer::End) => return,
            Whole(body, media_type) => {
                let headers = headers(core, media_type);
                let head = Head { status: 200, headers: &headers };
                if !write(&socket, &head.with_body(&body, request.method() == "HEAD")) {
                    return;
                }
            }
            Events(query) => {
                let mut headers = headers(core, "application/json");
                headers.push(("Connection", "close".to_owned()));
                let bytes = Head { status: 200, headers: &headers }.with_chunks();
                if core.subscribe(number, query) {
                    follow(
                        core,
                        number,
                        &socket,
                        reader,
                        StreamHead { bytes, is_late: core.settings.is_podman },
                    );
                }
                return;
            }
        }
    }
}

/// What a request gets.
enum Reply {
    Scripted(Answer),
    /// A body, and its media type.
    Whole(String, &'static str),
    Events(EventQuery),
}
use Reply::{Events, Scripted, Whole};

fn own_answer(core: &Core, request: &ScriptedRequest) -> Reply {
    let settings = &core.settings;
    let dotted = |(major, minor): (u16, u16)| format!("{major}.{minor}");
    if let Some(version) = request.version() {
        let bound = if version < settings.lowest {
            Some(("too old", "Minimum", settings.lowest))
        } else {
            (version > settings.highest).then_some(("too new", "Maximum", settings.highest))
        };
        if let Some((what, which, limit)) = bound {
            let (version, limit) = (dotted(version), dotted(limit));
            let text =
                format!("client version {version} is {what}. {which} supported API version is {limit}");
            return Scripted(Answer::Status(400, text));
        }
    }
    match request.endpoint() {
        Endpoint::Ping => Whole("OK".to_owned(), "text/plain; charset=utf-8"),
        Endpoint::Info => Whole(info(core).to_string(), "application/json"),
        Endpoint::Events => match EventQuery::parse(|name| request.parameter(name), settings.is_podman) {
            Ok(query) => Events(query),
            Err(text) => Scripted(Answer::Status(400, text)),
        },
        Endpoint::Other => Scripted(Answer::Status(404, "page not found".to_owned())),
    }
}

fn info(core: &Core) -> Value {
    let state = core.lock();
    // Podman makes an id up for each request.
    let id = if core.settings.is_podman {
        format!("{}-{}", state.id, state.requests.len())
    } else {
        state.id.clone()
    };
    json!({
        "ID": id,
        "Name": "scripted",
        "OSType": "linux",
        "ServerVersion": server_version(core),
        "SystemTime": time::rfc_3339(state.clock),
    })
}

fn server_version(core: &Core) -> &'static str {
    if core.settings.is_podman { "4.3.1" } else { "27.0.0" }
}

/// Writes a message with a status, as an engine does.
fn message(core: &Core, request: &ScriptedRequest, status: u16, text: &str) -> Vec<u8> {
    let headers = headers(core, "application/json");
    let body = format!("{}\n", json!({ "message": text }));
    Head { status, headers: &headers }.with_body(&body, request.method() == "HEAD")
}

fn headers(core: &Core, media_type: &str) -> Vec<(&'static str, String)> {
    let settings = &core.settings;
    let product = if settings.is_podman { "Libpod" } else { "Docker" };
    let mut headers = vec![
        ("Content-Type", media_type.to_owned()),
        ("Date", time::http_date(core.lock().clock)),
        ("Server", format!("{product}/{} (linux)", server_version(core))),
    ];
    if !settings.is_podman {
        headers.push(("Ostype", "linux".to_owned()));
    }
    if settings.has_version {
        let (major, minor) = settings.highest;
        headers.push(("Api-Version", format!("{major}.{minor}")));
    }
    headers
}
