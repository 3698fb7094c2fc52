//! The life of a container, as typed events.

use super::api;
use super::daemon::Shared;
use super::feed::Feed;
use super::happened::{Deeds, Happened};
use buslane::source::Update;
use buslane_docker::{Action, DockerEvent, DockerSource, Filter, Kind, Scope};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A name for the image, of one static program.
const IMAGE: &str = "tiny:latest";

/// Imports an image of busybox alone. Returns whether there is one on this machine.
#[track_caller]
fn import_image(socket: &Path) -> bool {
    let folder = socket.with_file_name("image");
    fs::create_dir_all(folder.join("bin")).unwrap();
    if fs::copy("/bin/busybox", folder.join("bin/sh")).is_err() {
        return false;
    }
    let archive = socket.with_file_name("image.tar");
    let made =
        Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(&archive).arg("bin").status().unwrap();
    assert!(made.success());
    let line = "POST /images/create?fromSrc=-&repo=tiny&tag=latest";
    let answer = api::request(socket, line, "application/x-tar", &fs::read(&archive).unwrap()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    true
}

#[test]
fn life_of_a_container_is_typed() {
    let Some(shared) = Shared::get() else { return };
    let daemon = shared.lock();
    let socket = daemon.socket();
    let feed = Feed::start(DockerSource::builder().host(daemon.host()), None);
    let containers = DockerSource::builder().host(daemon.host()).filter(Filter::new().kind(Kind::Container));
    let filtered = Feed::start(containers, None);
    if !import_image(socket) {
        super::report(format_args!("no container: there is no busybox"));
        return;
    }
    let config = format!(
        r#"{{"Image":"{IMAGE}","Cmd":["/bin/sh","-c","exit 3"],"Labels":{{"team":"größer"}},"HostConfig":{{"NetworkMode":"none"}}}}"#
    );
    let created = api::done(socket, "POST /containers/create?name=web", &config);
    let id = created.split('"').nth(3).unwrap().to_owned();
    api::done(socket, &format!("POST /containers/{id}/start"), "");
    assert!(api::done(socket, &format!("POST /containers/{id}/wait"), "").contains("\"StatusCode\":3"));
    api::done(socket, &format!("POST /containers/{id}/rename?name=other"), "");
    api::done(socket, &format!("DELETE /containers/{id}"), "");
    let mut end = Deeds::default();
    end.volumes(socket, "end", 1);

    let updates = feed.wait_shown(&end.0[1]);
    let events: Vec<DockerEvent> = updates.into_iter().filter_map(Update::into_event).collect();
    let of = |kind| events.iter().filter(move |event| event.kind() == kind).collect::<Vec<_>>();
    let container = of(Kind::Container);
    let actions: Vec<_> = container.iter().map(|event| event.action()).collect();
    assert_eq!(actions, [Action::Create, Action::Start, Action::Die, Action::Rename, Action::Destroy]);
    assert!(container.iter().all(|event| event.id() == id && event.scope() == Some(Scope::Local)));
    assert!(
        container
            .iter()
            .all(|event| event.image() == Some(IMAGE) && event.attribute("team") == Some("größer"))
    );
    assert_eq!((container[2].exit_code(), container[0].exit_code()), (Some(3), None));
    assert_eq!((container[0].name(), container[4].name()), (Some("web"), Some("other")));
    assert!(container.is_sorted_by_key(|event| event.time_nano()));
    assert!(of(Kind::Image).iter().any(|event| event.action() == Action::Import));

    filtered.wait_shown(&Happened::of(container[4]));
    let wanted: Vec<_> = filtered.seen.events().into_iter().filter_map(Update::into_event).collect();
    assert!(wanted.iter().eq(container), "{wanted:?}");
    feed.stop();
    filtered.stop();
    api::done(socket, "DELETE /images/tiny:latest", "");
}
