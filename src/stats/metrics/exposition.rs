//! The text of a page for a scraper.

use super::family::{Family, Unit};
use super::label::Label;
use super::measurement::Measurement;
use crate::stats::snapshot::Snapshot;
use std::fmt::{self, Write};

/// A text format for scrapers.
///
/// # Examples
/// ```
/// use buslane::stats::metrics::Format;
/// // What Prometheus sends as `Accept`.
/// let accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3";
/// assert_eq!(Format::accepted(accept), Format::OpenMetrics);
/// assert_eq!(Format::accepted("*/*"), Format::Prometheus);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// OpenMetrics 1.0, which Prometheus 2.5 and newer asks for.
    #[default]
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus, which every scraper reads.
    Prometheus,
}

impl Format {
    /// Returns the format to send to a client with this `Accept` header: OpenMetrics if the header
    /// names it, the format that every scraper reads otherwise.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::metrics::Format;
    /// assert_eq!(Format::accepted("text/plain"), Format::Prometheus);
    /// ```
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Returns the value of the header `Content-Type`.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::metrics::Format;
    /// assert_eq!(Format::OpenMetrics.content_type(), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    /// ```
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The text of one page for a scraper, of one bus or of several.
///
/// Its `Display` writes the page. `HELP` and `TYPE` are written once for each family, and all series
/// of a family together, as the formats demand. Two buses of one page need different names: series
/// with the same labels are invalid.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane::stats::metrics::Exposition;
/// let (orders, audit) = (Bus::<u32>::new(), Bus::<String>::new());
/// let (orders, audit) = (orders.snapshot(), audit.snapshot());
/// let page = Exposition::new().bus("orders", &orders).bus("audit", &audit).to_string();
/// assert_eq!(page.lines().filter(|line| line.starts_with("# TYPE buslane_bus_open ")).count(), 1);
/// assert!(page.contains("buslane_bus_open{bus=\"orders\"} 1\nbuslane_bus_open{bus=\"audit\"} 1\n"));
/// assert!(page.ends_with("# EOF\n"));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a page is written by its `Display`"]
pub struct Exposition<'a> {
    format: Format,
    measurements: Vec<Measurement<'a>>,
}

impl<'a> Exposition<'a> {
    /// Creates an empty page in the default format, OpenMetrics.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::stats::metrics::Exposition::new().to_string(), "# EOF\n");
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the format.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::metrics::{Exposition, Format};
    /// let snapshot = buslane::Bus::<u32>::new().snapshot();
    /// let page = Exposition::new().format(Format::Prometheus).bus("orders", &snapshot).to_string();
    /// assert!(page.starts_with("# HELP buslane_bus_open ") && !page.contains("# EOF"));
    /// ```
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Adds the measurements of a bus.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::metrics::Exposition;
    /// let snapshot = buslane::Bus::<u32>::new().snapshot();
    /// println!("{}", Exposition::new().bus("orders", &snapshot));
    /// ```
    pub fn bus(self, name: &'a str, snapshot: &'a Snapshot) -> Self {
        self.measurements(snapshot.measurements(name))
    }

    /// Adds measurements, such as those of a monitor or a director.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::metrics::Exposition;
    /// let snapshot = buslane::Bus::<u32>::new().snapshot();
    /// let states = snapshot.measurements("orders").filter(|it| it.family.name.ends_with("_open"));
    /// assert!(Exposition::new().measurements(states).to_string().contains("buslane_bus_open{bus=\"orders\"} 1\n"));
    /// ```
    pub fn measurements(mut self, measurements: impl IntoIterator<Item = Measurement<'a>>) -> Self {
        self.measurements.extend(measurements);
        self
    }
}

impl fmt::Display for Exposition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut families: Vec<&'static Family> = Vec::new();
        for measurement in &self.measurements {
            let family = measurement.family;
            // Those of one family are usually next to each other.
            if families.last() != Some(&family) && !families.contains(&family) {
                families.push(family);
            }
        }
        for family in families {
            write_family(f, family, self.format)?;
            for measurement in self.measurements.iter().filter(|it| it.family == family) {
                write_series(f, measurement)?;
            }
        }
        match self.format {
            Format::OpenMetrics => f.write_str("# EOF\n"),
            Format::Prometheus => Ok(()),
        }
    }
}

/// Writes what all series of a family share. Help texts are this crate's, and need no escapes.
fn write_family(out: &mut impl Write, family: &Family, format: Format) -> fmt::Result {
    // In OpenMetrics a family of counters has the name of its series without `_total`.
    let name = match format {
        Format::OpenMetrics => family.base_name(),
        Format::Prometheus => family.name,
    };
    writeln!(out, "# HELP {name} {}", family.help)?;
    writeln!(out, "# TYPE {name} {}", family.kind.prometheus_type())?;
    let unit = family.unit.name();
    if format == Format::OpenMetrics && family.unit != Unit::None && name.ends_with(unit) {
        writeln!(out, "# UNIT {name} {unit}")?;
    }
    Ok(())
}

fn write_series(out: &mut impl Write, measurement: &Measurement<'_>) -> fmt::Result {
    out.write_str(measurement.family.name)?;
    for (position, label) in measurement.labels.iter().enumerate() {
        out.write_char(if position == 0 { '{' } else { ',' })?;
        write_label(out, label)?;
    }
    if !measurement.labels.is_empty() {
        out.write_char('}')?;
    }
    writeln!(out, " {}", measurement.value)
}

fn write_label(out: &mut impl Write, label: &Label<'_>) -> fmt::Result {
    write!(out, "{}=\"", label.key.name())?;
    for character in label.value.chars() {
        match character {
            '\\' => out.write_str("\\\\")?,
            '"' => out.write_str("\\\"")?,
            '\n' => out.write_str("\\n")?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}

impl Snapshot {
    /// Writes the snapshot in the OpenMetrics text format, as a complete page. `bus` is the name of
    /// the bus.
    ///
    /// Its content type is [`Format::OpenMetrics.content_type()`](Format::content_type). An
    /// [`Exposition`] also writes other formats, and several buses on one page.
    ///
    /// # Errors
    /// What `out` returns.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let mut page = String::new();
    /// bus.snapshot().write_openmetrics("orders", &mut page)?;
    /// assert!(page.contains("buslane_bus_publishers{bus=\"orders\"} 0\n"));
    /// # Ok::<(), std::fmt::Error>(())
    /// ```
    pub fn write_openmetrics(&self, bus: &str, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{}", Exposition::new().bus(bus, self))
    }
}
