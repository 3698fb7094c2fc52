//! What the page shows, read out of the browser.

use crate::driver::Browser;
use serde::Deserialize;
use std::collections::BTreeMap;
use test_support::wait_for;

/// Collects the texts of the page.
const READ: &str = r#"
const read = () => {
const text = id => document.getElementById(id).textContent;
const texts = node => Object.fromEntries([...node.querySelectorAll(':scope [data-field]')].map(part => [part.dataset.field, part.textContent]));
const visible = node => node.getClientRects().length > 0;
return {
  frames: Number(document.getElementById('main').dataset.frames ?? 0),
  state: document.getElementById('connection').dataset.state,
  connection: text('connection'), program: text('program'), process: text('process'), shown: text('shown'),
  notice: visible(document.getElementById('notice')) ? text('notice') : '',
  none: visible(document.getElementById('none')) ? text('none') : '',
  warnings: [...document.querySelectorAll('#warned li')].map(item => ({
    kind: item.dataset.kind, place: item.firstChild.textContent, text: item.lastChild.textContent })),
  buses: [...document.querySelectorAll('tr.bus')].filter(visible).map(row => ({
    bus: row.dataset.bus, subscriber: null, sink: '', warned: false, counts: {}, fields: texts(row) })),
  rows: [...document.querySelectorAll('tr.sink, tr.reader:not(.more)')].filter(visible).map(row => ({
    bus: row.dataset.bus, sink: row.dataset.sink, subscriber: row.dataset.subscriber ?? null,
    warned: row.classList.contains('warned'), fields: texts(row),
    counts: row.nextSibling?.classList.contains('detail')
      ? Object.fromEntries([...row.nextSibling.querySelectorAll('[data-count]')].map(part => [part.dataset.count, part.textContent])) : {} })),
  tapped: [...document.querySelectorAll('#tap-lines li')].map(line => line.textContent),
  tap: visible(document.getElementById('tap')) ? text('tap-state') : '',
};
};
// The page gets its turn between two polls.
return new Promise(resolve => setTimeout(() => resolve(read()), 20));"#;

/// The texts of the page at one time.
#[derive(Debug, Deserialize)]
pub(crate) struct View {
    /// The frames that the page received since it was opened.
    pub(crate) frames: u64,
    pub(crate) state: String,
    pub(crate) connection: String,
    pub(crate) program: String,
    pub(crate) process: String,
    pub(crate) shown: String,
    pub(crate) notice: String,
    pub(crate) none: String,
    pub(crate) warnings: Vec<Warned>,
    pub(crate) buses: Vec<Row>,
    pub(crate) rows: Vec<Row>,
    pub(crate) tapped: Vec<String>,
    pub(crate) tap: String,
}

/// A warning on the page.
#[derive(Debug, Deserialize)]
pub(crate) struct Warned {
    pub(crate) kind: String,
    pub(crate) place: String,
    pub(crate) text: String,
}

/// A row of the table, with the details where they are open.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) bus: String,
    pub(crate) sink: String,
    pub(crate) subscriber: Option<String>,
    pub(crate) warned: bool,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) counts: BTreeMap<String, String>,
}

impl Row {
    /// Returns the text of a cell.
    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> &str {
        self.fields.get(field).unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }
}

impl View {
    /// Reads the page.
    pub(crate) fn read(browser: &Browser) -> Self {
        serde_json::from_value(browser.run(READ, ())).expect("a view")
    }

    /// Reads the page until a condition holds.
    #[track_caller]
    pub(crate) fn wait(browser: &Browser, condition: impl Fn(&Self) -> bool) -> Self {
        let mut last = None;
        wait_for(|| {
            let view = Self::read(browser);
            let holds = condition(&view);
            last = Some(view);
            holds
        });
        last.expect("a view")
    }

    /// Waits for two further frames: the second one was taken after this call.
    #[track_caller]
    pub(crate) fn fresh(browser: &Browser) -> Self {
        let now = Self::read(browser).frames;
        Self::wait(browser, |view| view.state == "connected" && view.frames >= now + 2)
    }

    /// Returns the row of a sink, if it is shown.
    pub(crate) fn find(&self, bus: &str, sink: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.bus == bus && row.sink == sink && row.subscriber.is_none())
    }

    /// Returns the row of a sink.
    #[track_caller]
    pub(crate) fn sink(&self, bus: &str, sink: &str) -> &Row {
        self.find(bus, sink).unwrap_or_else(|| panic!("no sink {sink} in {self:?}"))
    }

    /// Returns the row of a subscriber.
    #[track_caller]
    pub(crate) fn subscriber(&self, name: &str) -> &Row {
        let found = self.rows.iter().find(|row| row.subscriber.as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("no subscriber {name} in {self:?}"))
    }

    /// Returns the names of the sinks in the order of the page.
    pub(crate) fn sinks(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| row.subscriber.is_none()).map(|row| row.sink.as_str()).collect()
    }

    /// Returns whether there is a warning of a kind about a sink.
    pub(crate) fn warns(&self, kind: &str, place: &str) -> bool {
        self.warnings.iter().any(|warning| warning.kind == kind && warning.place == place)
    }
}
