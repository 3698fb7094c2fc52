//! Addresses at which there is no engine, and settings that are invalid.

use crate::{GUARD, engine, expect, start, volume};
use buslane::source::MonitorState;
use buslane_docker::testing::ScriptedEngine;
use buslane_docker::{DockerConfigErrorKind, DockerSource, Filter};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};
use test_support::wait_for;

/// A folder that ends with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("buslane-docker-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns the first error of a source with this host.
fn first_error(host: &str) -> String {
    let (monitor, _seen) = start(DockerSource::builder().host(host).timeout(GUARD));
    wait_for(|| monitor.snapshot().failures > 0);
    let state = monitor.state();
    assert!(!matches!(state, MonitorState::Stopped(_)), "{state}");
    assert!(monitor.stop().is_done());
    monitor.snapshot().last_error.unwrap_or_default()
}

#[test]
fn socket_that_is_not_there_is_an_error() {
    let folder = Folder::new("missing");
    let host = format!("unix://{}/docker.sock", folder.0.display());
    let expected = format!("the connection to the engine at {host} failed: entity not found");
    assert_eq!(first_error(&host), expected);
}

#[test]
fn socket_that_appears_later_is_found() {
    let engine = ScriptedEngine::start().unwrap();
    engine.stop();
    let (monitor, seen) = start(crate::source(&engine));
    wait_for(|| monitor.snapshot().failures > 0);
    engine.listen().unwrap();
    engine.wait_streams(1);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    assert!(monitor.stop().is_done());
}

#[test]
fn file_that_is_no_socket_is_an_error() {
    let folder = Folder::new("file");
    let path = folder.0.join("file");
    fs::write(&path, "text").unwrap();
    let error = first_error(&format!("unix://{}", path.display()));
    assert!(error.ends_with("failed: connection refused"), "{error}");
}

#[test]
fn socket_without_permission_is_an_error() {
    let folder = Folder::new("closed");
    let path = folder.0.join("docker.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if UnixStream::connect(&path).is_ok() {
        // The root user may use every socket, so another user runs this test.
        again_without_rights("addresses::socket_without_permission_is_an_error");
        return;
    }
    let error = first_error(&format!("unix://{}", path.display()));
    assert!(error.ends_with("failed: permission denied"), "{error}");
}

/// Runs a test of this program once more, as a user that owns nothing.
#[track_caller]
fn again_without_rights(test: &str) {
    const MARK: &str = "BUSLANE_TEST_WITHOUT_RIGHTS";
    const UNPRIVILEGED: u32 = 65534;
    assert!(std::env::var_os(MARK).is_none(), "the other user has the same rights");
    let folder = Folder::new("copy");
    let readable = || fs::Permissions::from_mode(0o755);
    fs::set_permissions(&folder.0, readable()).unwrap();
    // The program itself may be in a folder that this user must not enter.
    let program = folder.0.join("docker");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, readable()).unwrap();
    let mut again = Command::new(&program);
    again.args([test, "--exact", "--test-threads=1"]).env(MARK, "yes").current_dir("/");
    let output = match again.uid(UNPRIVILEGED).gid(UNPRIVILEGED).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: no other user can run this program: {error}");
            return;
        }
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

#[test]
fn port_without_a_server_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(
        first_error(&host),
        format!("the connection to the engine at {host} failed: connection refused")
    );
}

/// Forwards what a client and an engine send to each other.
fn forward(client: &TcpStream, engine: &UnixStream) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut &*client, &mut &*engine);
            let _ = engine.shutdown(Shutdown::Both);
        });
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = (&*engine).read(&mut bytes) {
            if (&*client).write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    });
}

#[test]
fn engine_behind_a_port_is_followed() {
    let engine = engine();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, socket) = (listener.local_addr().unwrap(), engine.socket().to_owned());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(engine) = UnixStream::connect(&socket) else { continue };
            thread::spawn(move || forward(&client, &engine));
        }
    });
    let (monitor, seen) = start(crate::source(&engine).host(format!("tcp://{address}")));
    engine.wait_streams(1);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    engine.cut();
    engine.wait_streams(1);
    engine.emit(volume("two"));
    expect(&seen, &["connected", "one", "fault", "resumed", "two"]);
    assert!(monitor.stop_timeout(GUARD).is_done());
    engine.wait_streams(0);
}

#[test]
fn invalid_settings_are_errors() {
    use DockerConfigErrorKind::{Buffer, Filter as FilterKind, Host, MaxEvent, Range, Timeout};
    let new = || DockerSource::builder().host("tcp://127.0.0.1");
    let second = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (source, kind) in [
        (new().host("ssh://me@server"), Host),
        (new().host("https://server"), Host),
        (new().host("server:2375"), Host),
        (new().socket("docker.sock"), Host),
        (new().filter(Filter::new().container("")), FilterKind),
        (new().filter(Filter::new().raw("pod", "x")).filter_here(), FilterKind),
        (new().timeout(Duration::ZERO), Timeout),
        (new().buffer(0), Buffer),
        (new().max_event(0), MaxEvent),
        (new().max_event(1 << 30), MaxEvent),
        (new().since(second(2)).until(second(1)), Range),
        (new().since(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), Range),
        (new().until(second(1 << 40)), Range),
    ] {
        let text = format!("{source:?}");
        assert_eq!(source.build().map_err(|error| error.kind()).err(), Some(kind), "{text}");
    }
    assert!(new().timeout(Duration::MAX).margin(Duration::MAX).proof_wait(Duration::MAX).build().is_ok());
}
