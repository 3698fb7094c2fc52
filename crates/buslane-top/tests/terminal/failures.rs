//! Targets that are none: one clear line, and exit code 1.

use crate::folder::Folder;
use crate::program::{PATH, command, failure};
use crate::service::Service;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread::{self, JoinHandle};

/// Returns the failure of both kinds of use: on the screen, and once.
#[track_caller]
fn failures(target: &str) -> String {
    let text = failure(command(&["--once", target]));
    assert_eq!(failure(command(&[target])), text);
    text
}

/// Answers requests with a text until a connection sends none.
fn answer(text: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        for connection in listener.incoming() {
            let connection = connection.unwrap();
            let head = BufReader::new(&connection).lines().map_while(Result::ok);
            if head.take_while(|line| !line.is_empty()).count() == 0 {
                return;
            }
            let _ = (&connection).write_all(text.as_bytes());
        }
    });
    (address, server)
}

/// Ends a server of `answer`.
fn end(address: &str, server: JoinHandle<()>) {
    drop(std::net::TcpStream::connect(address).unwrap());
    server.join().unwrap();
}

#[test]
fn targets_that_are_no_service_are_told_apart() {
    let folder = Folder::new();
    let path = |name: &str| folder.file(name).to_str().unwrap().to_owned();
    assert_eq!(
        failures("nonsense"),
        "target \"nonsense\" is invalid: it must be a process id, the path of a socket or 127.0.0.1:port"
    );
    assert_eq!(failures(&path("missing")), format!("no service answers at {}", path("missing")));
    fs::write(folder.file("file"), "").unwrap();
    assert_eq!(failures(&path("file")), format!("no service answers at {}", path("file")));
    drop(UnixListener::bind(folder.file("stale")).unwrap());
    assert_eq!(failures(&path("stale")), format!("no service answers at {}", path("stale")));
    assert_eq!(failures("4294967294"), "process 4294967294 does not run");
    let own = std::process::id();
    let text = failures(&own.to_string());
    assert!(
        text.starts_with(&format!(
            "process {own} has no socket: the service must call buslane_inspect::serve"
        )),
        "{text}"
    );
}

#[test]
fn other_servers_are_not_taken_for_a_service() {
    let (address, server) = answer("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nwhat?");
    assert_eq!(failures(&address), "the service refused the request (404): what?");
    end(&address, server);
    let (address, server) = answer("SSH-2.0-server\r\n");
    assert_eq!(failures(&address), "the answer is not that of a buslane service: it is not HTTP");
    end(&address, server);
    let (address, server) = answer("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>");
    assert!(failures(&address).starts_with("the answer is not that of a buslane service: "));
    end(&address, server);
}

#[test]
fn newer_version_is_refused() {
    let (address, server) = answer("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"version\":9}");
    let text = "the service writes version 9 of the format, and this program reads version 1: update it";
    assert_eq!(failures(&address), text);
    assert_eq!(failure(command(&["--once", "--json", &address])), text);
    end(&address, server);
}

#[test]
fn missing_bus_is_refused_with_the_names() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1);
    for arguments in [&["--once", "--every", "100ms"][..], &[]] {
        let mut program = command(arguments);
        program.args(["--bus", "audit", &service.target()]);
        assert_eq!(failure(program), "bus \"audit\" is invalid: the buses of the service are orders");
    }
}

#[test]
fn pipe_needs_once() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1);
    assert_eq!(
        failure(command(&[&service.target()])),
        "standard output is not a terminal: --once prints one frame"
    );
}

#[test]
fn socket_of_another_user_is_refused() {
    let id = Command::new("id").arg("-u").output().unwrap();
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    if id.stdout != b"0\n" || !has_setpriv {
        return;
    }
    let folder = Folder::new();
    let service = Service::start(&folder, 1);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The other user may not be able to reach the build folder.
    let copy = folder.file("top");
    fs::copy(PATH, &copy).unwrap();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
    other.args(["--once", &service.target()]);
    assert_eq!(failure(other), format!("permission denied: {} belongs to another user", service.target()));
}

#[test]
fn invalid_arguments_have_exit_code_two() {
    for arguments in [&["--every", "5ms"][..], &["--json"], &["--sort", "color"], &["--replay", "a", "12"]] {
        let output = crate::program::output(command(arguments));
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{arguments:?}");
    }
}
