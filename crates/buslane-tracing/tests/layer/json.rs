//! Lines of JSON.

use super::{OnDebug, lines_of};
use buslane_tracing::Json;
use serde_json::{Value, json};
use tracing::{info, info_span, warn};

/// Returns the objects that `log` leads to.
fn objects_of(format: Json, log: impl FnOnce()) -> Vec<Value> {
    lines_of(format, log).iter().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn object_has_all_its_parts() {
    let objects = objects_of(Json::new(), || {
        let _outer = info_span!("request", id = 7, path = "/\"").entered();
        info_span!("query").in_scope(|| warn!(target: "my_service::db", code = 504, "no answer"));
    });
    let expected = json!({
        "timestamp": "2023-11-14T22:13:20.123456Z",
        "level": "WARN",
        "fields": { "message": "no answer", "code": 504 },
        "target": "my_service::db",
        "span": { "name": "query" },
        "spans": [{ "id": 7, "path": "/\"", "name": "request" }, { "name": "query" }],
    });
    assert_eq!(objects, [expected]);
}

#[test]
fn thread_and_source_are_optional() {
    let format = Json::new().time(false).target(false).threads(true).source(true);
    let objects = objects_of(format, || info!("event"));
    assert!(objects[0]["threadId"].is_u64() && objects[0]["line_number"].is_u64());
    assert!(objects[0]["filename"].as_str().is_some_and(|file| file.ends_with("json.rs")));
    assert!(objects[0].get("timestamp").is_none() && objects[0].get("target").is_none());
}

#[test]
fn numbers_that_json_lacks_are_strings() {
    let objects = objects_of(Json::new(), || {
        info!(
            nan = f64::NAN,
            inf = f64::INFINITY,
            minus = f64::NEG_INFINITY,
            large = f64::MAX,
            one = 1.0,
            small = -0.0,
            i = i128::MIN,
            u = u128::MAX,
            fits = 5_u128,
            min = i64::MIN,
            max = u64::MAX
        );
    });
    let fields = &objects[0]["fields"];
    assert_eq!(fields["nan"], "NaN");
    assert_eq!((&fields["inf"], &fields["minus"]), (&json!("inf"), &json!("-inf")));
    assert_eq!((&fields["large"], &fields["one"]), (&json!(f64::MAX), &json!(1.0)));
    assert_eq!((&fields["i"], &fields["u"]), (&json!(i128::MIN.to_string()), &json!(u128::MAX.to_string())));
    assert_eq!(
        (&fields["fits"], &fields["min"], &fields["max"]),
        (&json!(5), &json!(i64::MIN), &json!(u64::MAX))
    );
}

#[test]
fn every_character_is_valid() {
    let all: String =
        (0..0x3000).filter_map(char::from_u32).chain(['\u{2028}', '\u{1f600}', '\u{10ffff}']).collect();
    let bytes: Vec<u8> = (0..=255).collect();
    let objects = objects_of(Json::new(), || {
        info!(text = &*all, debug = ?OnDebug(|| {}), bytes = &bytes[..]);
        info!(text = %all);
    });
    let fields = &objects[0]["fields"];
    // Without the texts in the message of a failure, which are long.
    assert!(fields["text"] == *all && objects[1]["fields"]["text"] == *all);
    assert!(fields["bytes"].as_str().is_some_and(|hex| hex.starts_with("000102") && hex.ends_with("feff")));
}

#[test]
fn unusual_names_are_valid() {
    let objects = objects_of(Json::new(), || {
        info!("a \"quoted\" name" = 1, r#type = 2, dotted.name = 3);
    });
    let fields = &objects[0]["fields"];
    assert_eq!(
        (&fields["a \"quoted\" name"], &fields["type"], &fields["dotted.name"]),
        (&json!(1), &json!(2), &json!(3))
    );
}

#[test]
fn field_name_of_a_span_is_no_second_key() {
    let lines = lines_of(Json::new().time(false).target(false), || {
        let _outer = info_span!("request", name = "Ann", field.name = 1).entered();
        info_span!("query", name = 7).in_scope(|| info!("event"));
    });
    let expected = concat!(
        r#"{"level":"INFO","fields":{"message":"event"},"span":{"field.name":7,"name":"query"},"#,
        r#""spans":[{"field.field.name":"Ann","field.name":1,"name":"request"},"#,
        r#"{"field.name":7,"name":"query"}]}"#
    );
    assert_eq!(lines, [expected]);
}
