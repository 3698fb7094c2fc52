//! The page that draws the frames, and the policy under which a browser runs it.

use std::hash::{BuildHasher, RandomState};

/// One file without outside resources.
const PAGE: &str = include_str!("page/page.html");

/// What the page has in the place of the nonce.
const PLACEHOLDER: &str = "__NONCE__";

/// Returns the page, and the value of its header `Content-Security-Policy`.
///
/// Only the page's own script and style run, by a nonce that differs in each response: a name or an
/// error text of the service can never become code, even if the page had a defect.
pub(crate) fn page() -> (String, String) {
    // Each state is keyed from the random source of the system.
    let nonce = format!("{:016x}{:016x}", RandomState::new().hash_one(1), RandomState::new().hash_one(2));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    (PAGE.replace(PLACEHOLDER, &nonce), policy)
}
