//! Lines of JSON, one object per line.

use crate::clock::Timestamp;
use crate::fields::Value;
use crate::format::{Format, OWN_TARGET, Parts, Sealed, bare, setters, shown};
use crate::record::Record;
use crate::spans::{Around, Scope};
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::SystemTime;

/// Lines of JSON, one object per line, with the keys of tracing-subscriber's JSON format.
///
/// ```text
/// {"timestamp":"2023-11-14T22:13:20.123456Z","level":"INFO","fields":{"message":"no answer","code":504},"target":"my_service::db","span":{"name":"query"},"spans":[{"id":7,"name":"request"},{"name":"query"}]}
/// ```
///
/// Every line is valid JSON: a number that JSON does not have (not a number, infinite) or that most
/// readers round (above 64 bits) is a string, and so are bytes, in hexadecimal. `truncated` is `true`
/// in the line of a record that was cut. A span's field `name` has the key `field.name`, since `name` is
/// the name of the span.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane_tracing::{Json, Record, RecordWriter};
/// let bus: Bus<Record> = Bus::new();
/// let guard = RecordWriter::new(Json::new().threads(true), std::io::stdout()).start(&bus)?;
/// # drop(guard);
/// # Ok::<(), buslane_tracing::StartError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json(Parts);

setters! {
    Json:
    /// Sets whether a line has `timestamp`.
    time,
    /// Sets whether a line has `target`.
    target,
    /// Sets whether a line has `threadId`, the number of its thread.
    threads,
    /// Sets whether a line has `filename` and `line_number`.
    source,
}

impl Format for Json {}

impl Sealed for Json {
    fn value(value: Value<'_>, text: &mut String) {
        // Writing into a string does not fail.
        let _ = match value {
            Value::Str(of) | Value::Debug(of) | Value::Error(of) => write!(text, "{}", Quoted(of)),
            Value::F64(of) if of.is_finite() => write!(text, "{of:?}"),
            Value::F64(of) => write!(text, "\"{of}\""),
            Value::I64(of) => write!(text, "{of}"),
            Value::U64(of) => write!(text, "{of}"),
            Value::Bool(of) => write!(text, "{of}"),
            Value::I128(of) => match i64::try_from(of) {
                Ok(of) => write!(text, "{of}"),
                Err(_) => write!(text, "\"{of}\""),
            },
            Value::U128(of) => match u64::try_from(of) {
                Ok(of) => write!(text, "{of}"),
                Err(_) => write!(text, "\"{of}\""),
            },
            Value::Bytes(of) => {
                text.push('"');
                of.iter().for_each(|byte| {
                    let _ = write!(text, "{byte:02x}");
                });
                text.push('"');
                Ok(())
            }
        };
    }

    fn line<const N: usize>(&self, record: &Record<N>, scope: &Scope<'_>, line: &mut String) {
        let mut object = Object::begin(line);
        if self.0.time && !record.timestamp().is_none() {
            object.text("timestamp", record.timestamp());
        }
        object.text("level", record.level());
        let mut fields = Object::begin(object.key("fields"));
        for field in shown(record) {
            Self::value(field.value(), fields.key(bare(field.name())));
        }
        fields.end();
        if self.0.target {
            object.text("target", record.target());
        }
        if self.0.source {
            if let Some(file) = record.file() {
                object.text("filename", file);
            }
            if let Some(number) = record.line() {
                Self::value(Value::U64(u64::from(number)), object.key("line_number"));
            }
        }
        if let Some(innermost) = scope.outermost_first().next_back() {
            span(&innermost, object.key("span"));
            let spans = object.key("spans");
            let mut mark = '[';
            for each in scope.outermost_first() {
                spans.push(mark);
                span(&each, spans);
                mark = ',';
            }
            spans.push(']');
        }
        if self.0.threads {
            Self::value(Value::U64(u64::from(record.thread())), object.key("threadId"));
        }
        if record.is_truncated() {
            Self::value(Value::Bool(true), object.key("truncated"));
        }
        object.end();
        line.push('\n');
    }

    fn notice(line: &mut Vec<u8>, text: fmt::Arguments<'_>) {
        let mut made = String::new();
        let mut object = Object::begin(&mut made);
        object.text("timestamp", Timestamp::from(SystemTime::now()));
        object.text("level", "WARN");
        let mut fields = Object::begin(object.key("fields"));
        fields.text("message", text);
        fields.end();
        object.text("target", OWN_TARGET);
        object.end();
        made.push('\n');
        line.extend_from_slice(made.as_bytes());
    }
}

/// Appends a span: its fields, which are JSON already, and its name.
fn span(around: &Around<'_>, line: &mut String) {
    let mut object = Object::begin(line);
    for (name, value) in around.fields() {
        object.key(&key_in_span(bare(name), around)).push_str(value);
    }
    object.text("name", around.name());
    object.end();
}

/// Returns the key of a span's field. The key `name` is that of the span's own name, and most readers
/// keep only one value of a key.
fn key_in_span<'a>(name: &'a str, around: &Around<'_>) -> Cow<'a, str> {
    let mut key = Cow::Borrowed(name);
    if name == "name" {
        loop {
            key = format!("field.{key}").into();
            if around.fields().all(|(other, _)| bare(other) != key) {
                break;
            }
        }
    }
    key
}

/// An object that is being written.
struct Object<'a> {
    line: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn begin(line: &'a mut String) -> Self {
        line.push('{');
        Self { line, is_empty: true }
    }

    /// Appends a key, and returns where its value goes.
    fn key(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.is_empty) {
            self.line.push(',');
        }
        // Writing into a string does not fail.
        let _ = write!(self.line, "{}:", Quoted(name));
        self.line
    }

    fn text(&mut self, name: &str, value: impl fmt::Display) {
        let line = self.key(name);
        line.push('"');
        // Writing into a string fails only if the `Display` does, which leaves the value cut.
        let _ = write!(Escaping(&mut *line), "{value}");
        line.push('"');
    }

    fn end(self) {
        self.line.push('}');
    }
}

/// A text as a JSON string.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        Escaping(&mut *f).write_str(self.0)?;
        f.write_str("\"")
    }
}

/// Writes text as the inside of a JSON string.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = special.chars();
            match chars.next() {
                Some('\n') => self.0.write_str("\\n")?,
                Some('\r') => self.0.write_str("\\r")?,
                Some('\t') => self.0.write_str("\\t")?,
                Some(mark @ ('"' | '\\')) => write!(self.0, "\\{mark}")?,
                Some(control) => write!(self.0, "\\u{:04x}", u32::from(control))?,
                None => {}
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}
