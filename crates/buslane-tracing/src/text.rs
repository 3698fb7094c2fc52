//! Lines of text, like those of tracing-subscriber's full format.

use crate::clock::Timestamp;
use crate::fields::Value;
use crate::format::{Format, OWN_TARGET, Parts, Sealed, bare, setters, shown};
use crate::record::Record;
use crate::spans::Scope;
use std::fmt::{self, Write};
use std::io::Write as _;
use std::time::SystemTime;

/// Lines of text, like those of tracing-subscriber's full format without colors.
///
/// A line has the time, the level, the spans with their fields, the target, the message and the
/// other fields:
///
/// ```text
/// 2023-11-14T22:13:20.123456Z  INFO request{id=7}:query: my_service::db: no answer code=504
/// ```
///
/// Characters that control a terminal are escaped, so a value cannot change what an operator sees.
/// Line feeds and tabs in a message are kept.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane_tracing::{Record, RecordWriter, Text};
/// let bus: Bus<Record> = Bus::new();
/// let guard = RecordWriter::new(Text::new().time(false).threads(true), std::io::stdout()).start(&bus)?;
/// # drop(guard);
/// # Ok::<(), buslane_tracing::StartError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(Parts);

setters! {
    Text:
    /// Sets whether a line has its time.
    time,
    /// Sets whether a line has its target.
    target,
    /// Sets whether a line has the number of its thread.
    threads,
    /// Sets whether a line has its source file and line.
    source,
}

impl Text {
    fn try_line<const N: usize>(
        self,
        record: &Record<N>,
        scope: &Scope<'_>,
        line: &mut String,
    ) -> fmt::Result {
        if self.0.time && !record.timestamp().is_none() {
            write!(line, "{} ", record.timestamp())?;
        }
        write!(line, "{:>5} ", record.level())?;
        if self.0.threads {
            write!(line, "thread={} ", record.thread())?;
        }
        let mut has_spans = false;
        for span in scope.outermost_first() {
            has_spans = true;
            line.push_str(span.name());
            let mut brace = '{';
            for (name, value) in span.fields() {
                write!(line, "{brace}{}={value}", bare(name))?;
                brace = ' ';
            }
            line.push_str(if brace == ' ' { "}:" } else { ":" });
        }
        if has_spans {
            line.push(' ');
        }
        if self.0.target {
            write!(line, "{}: ", Escaped(record.target()))?;
        }
        if self.0.source
            && let Some(file) = record.file()
        {
            write!(line, "{}:", Escaped(file))?;
            match record.line() {
                Some(number) => write!(line, "{number}: ")?,
                None => line.push(' '),
            }
        }
        let mut space = "";
        for field in shown(record) {
            line.push_str(space);
            space = " ";
            match field.value() {
                Value::Str(text) if field.name() == "message" => write!(line, "{}", Escaped(text))?,
                value if field.name() == "message" => Self::value(value, line),
                value => {
                    write!(line, "{}=", bare(field.name()))?;
                    Self::value(value, line);
                }
            }
        }
        line.push_str(if record.is_truncated() { " (truncated)\n" } else { "\n" });
        Ok(())
    }
}

impl Format for Text {}

impl Sealed for Text {
    fn value(value: Value<'_>, text: &mut String) {
        // Writing into a string does not fail.
        let _ = match value {
            Value::Debug(of) | Value::Error(of) => write!(text, "{}", Escaped(of)),
            // `Debug` of a string escapes it.
            value => write!(text, "{value}"),
        };
    }

    fn line<const N: usize>(&self, record: &Record<N>, scope: &Scope<'_>, line: &mut String) {
        // Writing into a string does not fail.
        let _ = self.try_line(record, scope, line);
    }

    fn notice(line: &mut Vec<u8>, text: fmt::Arguments<'_>) {
        let now = Timestamp::from(SystemTime::now());
        // Writing into a vector does not fail.
        let _ = writeln!(line, "{now}  WARN {OWN_TARGET}: {text}");
    }
}

/// A text whose characters that control a terminal are escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
        let mut rest = self.0;
        while let Some(at) = rest.find(is_control) {
            let (plain, escaped) = rest.split_at(at);
            f.write_str(plain)?;
            let mut chars = escaped.chars();
            chars.next().map_or(Ok(()), |c| write!(f, "{}", c.escape_default()))?;
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}
