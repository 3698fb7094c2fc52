//! Paths of Unix sockets: their rights, and paths that are taken, stale or of another user.

use super::{Directory, bus};
use buslane_inspect::client::{Client, Target};
use buslane_inspect::error::ServeError;
use buslane_inspect::{At, Inspector};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

/// A user who owns nothing.
const OTHER: Option<u32> = Some(65_534);

/// Whether files can be given to another user.
fn is_root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    if !root {
        eprintln!("skipped: only root can give a file to another user");
    }
    root
}

#[test]
fn socket_is_for_its_owner_and_removed_at_the_end() {
    let directory = Directory::new();
    let serving = Inspector::new().serve(directory.at()).unwrap();
    assert_eq!(serving.at(), &directory.at());
    assert_eq!(fs::metadata(directory.socket()).unwrap().mode() & 0o777, 0o600);
    let files = || fs::read_dir(&directory.0).unwrap().count();
    assert_eq!(files(), 1, "nothing else is left in the directory");
    drop(serving);
    assert_eq!(files(), 0);
}

#[test]
fn live_socket_is_never_replaced() {
    let (bus, directory) = (bus(), Directory::new());
    let first = Inspector::builder().register("orders", &bus).serve(directory.at()).unwrap();
    let error = Inspector::new().serve(directory.at()).unwrap_err();
    assert!(matches!(&error, ServeError::Taken(at) if *at == directory.at()), "{error}");
    let client = Client::connect(Target::from(directory.at())).unwrap();
    assert_eq!(client.snapshot().unwrap().buses[0].name, "orders", "the first one still answers");
    drop(first);
    drop(Inspector::new().serve(directory.at()).unwrap());
}

#[test]
fn stale_socket_is_replaced() {
    let directory = Directory::new();
    drop(UnixListener::bind(directory.socket()).unwrap());
    assert!(directory.socket().exists());
    let serving = Inspector::new().serve(directory.at()).unwrap();
    Client::connect(serving.at().into()).unwrap();
}

#[test]
fn replaced_socket_is_not_removed() {
    let directory = Directory::new();
    let first = Inspector::new().serve(directory.at()).unwrap();
    fs::remove_file(directory.socket()).unwrap();
    let second = Inspector::new().serve(directory.at()).unwrap();
    drop(first);
    Client::connect(second.at().into()).unwrap();
}

#[test]
fn files_and_links_are_not_touched() {
    let directory = Directory::new();
    fs::write(directory.socket(), "precious").unwrap();
    let error = Inspector::new().serve(directory.at()).unwrap_err();
    assert!(matches!(&error, ServeError::NotASocket(_)), "{error}");
    assert_eq!(fs::read(directory.socket()).unwrap(), b"precious");
    let link = directory.0.join("link");
    symlink(directory.socket(), &link).unwrap();
    let error = Inspector::new().serve(At::Unix(link.clone())).unwrap_err();
    assert!(matches!(&error, ServeError::NotASocket(path) if *path == link), "{error}");
    for path in
        ["/does/not/exist/socket".to_owned(), format!("{}/{}", directory.0.display(), "x".repeat(200))]
    {
        let error = Inspector::new().serve(At::Unix(path.clone().into())).unwrap_err();
        assert!(error.to_string().contains(&path), "{error}");
    }
}

#[test]
fn socket_of_another_user_is_refused() {
    let directory = Directory::new();
    if !is_root() {
        return;
    }
    drop(UnixListener::bind(directory.socket()).unwrap());
    chown(directory.socket(), OTHER, None).unwrap();
    let error = Inspector::new().serve(directory.at()).unwrap_err();
    assert!(error.to_string().ends_with("the socket belongs to another user"), "{error}");
    assert!(directory.socket().exists());
}

/// Starts the example at its default path, with this directory for run-time files.
fn example(runtime: &std::path::Path) -> Command {
    let program = std::env::current_exe().unwrap();
    let target = program.parent().and_then(std::path::Path::parent).unwrap();
    let mut command = Command::new(target.join("examples/inspect"));
    command.args(["unix", "--rate", "0"]).env("XDG_RUNTIME_DIR", runtime);
    command.stdin(std::process::Stdio::null());
    command
}

#[test]
fn default_directory_must_be_ones_own() {
    let directory = Directory::new();
    let own = directory.0.join("buslane");
    let output = example(&directory.0).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains(&format!("unix:{}/", own.display())),
        "{output:?}"
    );
    assert_eq!(fs::metadata(&own).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&own).unwrap().count(), 0, "the socket is removed");

    let refused = |reason: &str| {
        let output = example(&directory.0).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(reason), "{text}");
    };
    fs::set_permissions(&own, Permissions::from_mode(0o755)).unwrap();
    refused("open to other users");
    fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
    if is_root() {
        chown(&own, OTHER, None).unwrap();
        refused("belongs to another user");
    }
    fs::remove_dir(&own).unwrap();
    symlink(&directory.0, &own).unwrap();
    refused("is not a directory");
}
