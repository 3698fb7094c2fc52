//! A client of WebDriver that opens pages in a headless Chromium.

use serde_json::{Value, json};
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use test_support::{GUARD, lock};
use ureq::Agent;
use ureq::http::Response;

/// The variable with the address of a running chromedriver, such as `http://127.0.0.1:9515`.
const VARIABLE: &str = "BUSLANE_WEBDRIVER";

/// One browser at a time: the machine of a test may be small.
static ONE: Mutex<()> = Mutex::new(());

/// A browser with one page. Its drop ends it.
pub(crate) struct Browser {
    agent: Agent,
    session: String,
    _one: MutexGuard<'static, ()>,
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Browser {
    /// Starts a browser with a page of this size, or returns `None` where no driver is named.
    pub(crate) fn start(width: u32, height: u32) -> Option<Self> {
        let Ok(driver) = std::env::var(VARIABLE) else {
            println!("no browser: {VARIABLE} is not set; run `bash .ci/browser`");
            return None;
        };
        let one = lock(&ONE);
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(GUARD));
        let agent: Agent = config.build().into();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
        ];
        let capabilities =
            json!({"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}});
        let wanted = json!({"capabilities": {"alwaysMatch": capabilities}});
        let answer = agent.post(format!("{driver}/session")).send(wanted.to_string());
        let started = value(answer, "a session");
        let session = format!("{driver}/session/{}", started["sessionId"].as_str().expect("an id"));
        let browser = Self { agent, session, _one: one };
        browser.resize(width, height);
        Some(browser)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.agent.post(format!("{}{path}", self.session)).send(body.to_string());
        value(answer, path)
    }

    fn get(&self, path: &str) -> Value {
        value(self.agent.get(format!("{}{path}", self.session)).call(), path)
    }

    /// Sends a command of the protocol of Chromium's developer tools.
    pub(crate) fn tools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Sets the size of the page. A narrow page is that of a phone.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.tools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Opens an address.
    pub(crate) fn open(&self, address: &str) {
        self.post("/url", &json!({"url": address}));
    }

    /// Runs a script with one argument, and returns its result.
    pub(crate) fn run(&self, script: &str, argument: impl Into<Value>) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": [argument.into()]}))
    }

    /// Clicks an element.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Sends keys to an element.
    pub(crate) fn keys(&self, selector: &str, keys: &str) {
        let element = self.find(selector);
        self.post(&format!("/element/{element}/value"), &json!({"text": keys}));
    }

    /// Sends one key to what has the focus.
    pub(crate) fn press(&self, key: &str) {
        let strokes = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}));
    }

    fn find(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        let id = found.as_object().and_then(|element| element.values().next()).and_then(Value::as_str);
        id.unwrap_or_else(|| panic!("no element {selector}")).to_owned()
    }

    /// Returns a picture of the page as base64 text of a PNG file.
    pub(crate) fn picture(&self) -> String {
        self.get("/screenshot").as_str().expect("a picture").to_owned()
    }

    /// Returns what the browser complained about: errors of scripts, and of the page's policy. That
    /// a service was not reached is left out.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a list").iter();
        entries.filter(|entry| entry["source"] != "network").map(Value::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
    }
}

/// Returns the value of the driver's answer.
#[track_caller]
fn value(answer: Result<Response<ureq::Body>, ureq::Error>, what: &str) -> Value {
    let mut answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
    let text = answer.body_mut().read_to_string().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(answer.status().is_success(), "{what}: {text}");
    let mut answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
    answer["value"].take()
}
