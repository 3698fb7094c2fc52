//! A strict reader of the text formats of Prometheus, for tests of exporters.

use buslane::stats::metrics::Format;
use std::collections::{BTreeMap, HashSet};

/// A page of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The families, in their order.
    pub families: Vec<Family>,
    /// The value of each series, by its name and its sorted labels.
    pub series: BTreeMap<Series, f64>,
}

/// The name of a series and its labels, sorted by their names.
pub type Series = (String, Vec<(String, String)>);

/// What a page says of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// The name.
    pub name: String,
    /// The text after the name in the line `HELP`.
    pub help: String,
    /// The type.
    pub kind: String,
    /// The unit, if the page has one.
    pub unit: Option<String>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// When the page violates its format: a family twice or not together, a series twice or of another
    /// family, a missing end, a name, label or value that is invalid.
    #[track_caller]
    pub fn parse(text: &str, format: Format) -> Self {
        let body = match format {
            Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("the page has no end"),
            _ => text,
        };
        assert!(body.is_empty() || body.ends_with('\n'), "the last line has no end");
        let mut page = Self::default();
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                page.describe(comment);
            } else {
                page.sample(line, format);
            }
        }
        let names: HashSet<&str> = page.families.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names.len(), page.families.len(), "a family is not together:\n{text}");
        page
    }

    /// Returns the value of a series. The order of the labels is of no importance.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut labels: Vec<_> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        labels.sort();
        self.series.get(&(name.to_owned(), labels)).copied()
    }

    /// Returns the values that the series of this name have for one label, in their order.
    #[must_use]
    pub fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        let of_name = self.series.keys().filter(|(it, _)| it == name);
        let values = of_name.flat_map(|(_, labels)| labels.iter().filter(|(key, _)| key == label));
        values.map(|(_, value)| value.as_str()).collect()
    }

    #[track_caller]
    fn describe(&mut self, comment: &str) {
        let mut parts = comment.splitn(3, ' ');
        let [keyword, name, text] = [(); 3].map(|()| parts.next().unwrap_or_default());
        assert!(is_name(name), "{comment}");
        if self.families.last().is_none_or(|family| family.name != name) {
            self.families.push(Family { name: name.to_owned(), ..Family::default() });
        }
        let family = self.families.last_mut().expect("one was pushed");
        match keyword {
            "HELP" if family.help.is_empty() => text.clone_into(&mut family.help),
            "TYPE" if family.kind.is_empty() => text.clone_into(&mut family.kind),
            "UNIT" if family.unit.is_none() => {
                assert!(
                    name.ends_with(&format!("_{text}")),
                    "the unit is not the end of the name: {comment}"
                );
                family.unit = Some(text.to_owned());
            }
            _ => panic!("an invalid comment: {comment}"),
        }
    }

    #[track_caller]
    fn sample(&mut self, line: &str, format: Format) {
        let name_len = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
        let (name, rest) = line.split_at(name_len);
        assert!(is_name(name), "{line}");
        let family = self.families.last().unwrap_or_else(|| panic!("no family: {line}"));
        assert!(!family.help.is_empty() && !family.kind.is_empty(), "no help or type: {line}");
        let expected = match (format, family.kind.as_str()) {
            (Format::OpenMetrics, "counter") => format!("{}_total", family.name),
            (_, "counter" | "gauge") => family.name.clone(),
            (_, other) => panic!("an unknown type: {other}"),
        };
        assert_eq!(name, expected, "a series of another family: {line}");
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest),
            None => (Vec::new(), rest),
        };
        let value = value.strip_prefix(' ').unwrap_or_else(|| panic!("no space: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let before = self.series.insert((name.to_owned(), labels), value);
        assert!(before.is_none(), "a series twice: {line}");
    }
}

/// Returns the labels, sorted, and what comes after the brace that ends them.
#[track_caller]
fn labels(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut labels, mut rest) = (Vec::new(), text);
    loop {
        let (key, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no value: {text}"));
        assert!(is_name(key) && !key.contains(':'), "{text}");
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().unwrap_or_else(|| panic!("no end of a value: {text}")) {
                (end, '"') => break end,
                (_, '\\') => value.push(match characters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, escaped @ ('\\' | '"'))) => escaped,
                    other => panic!("an invalid escape {other:?}: {text}"),
                }),
                (_, '\0') => panic!("NUL: {text}"),
                (_, other) => value.push(other),
            }
        };
        labels.push((key.to_owned(), value));
        rest = &after[end + 1..];
        if let Some(value) = rest.strip_prefix('}') {
            labels.sort();
            let keys: HashSet<&str> = labels.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys.len(), labels.len(), "a label twice: {text}");
            return (labels, value);
        }
        rest = rest.strip_prefix(',').unwrap_or_else(|| panic!("no comma: {text}"));
    }
}

fn is_name(text: &str) -> bool {
    let is_valid = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    text.chars().all(is_valid) && text.starts_with(|first: char| !first.is_ascii_digit())
}
