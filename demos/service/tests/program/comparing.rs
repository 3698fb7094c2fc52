//! The comparison, too short to say anything about speed.

use crate::support::{PROGRAM, count};
use demo_support::output;
use std::process::Stdio;

/// Arguments of a comparison that ends soon.
const SHORT: [&str; 9] =
    ["compare", "--seconds", "0.2", "--rounds", "1", "--rate", "200", "--connections", "4"];

#[test]
fn compare_measures_every_kind() {
    let output =
        output::command(PROGRAM).args(SHORT).arg("--json").stderr(Stdio::piped()).output().expect("an end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = output::json_lines(&output.stdout).pop().expect("a report");
    let rows = report["loads"][0]["contenders"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["off", "buslane", "non_blocking", "appender", "plain", "off again"]);
    for row in rows {
        assert!(row["answered"].as_f64() > Some(0.0) && row["p50"].as_f64() > Some(0.0), "{row}");
        assert_eq!(count(row, "/missing"), 0, "{row}");
        assert_eq!(
            count(row, "/lines") > 0,
            !row["name"].as_str().expect("a name").starts_with("off"),
            "{row}"
        );
    }
}
