//! Sockeye against others: the Autobahn testsuite, other implementations, a browser.
//!
//! There is nothing here to call. `src/bin/` has the client which the Autobahn testsuite tests, and servers for the browser,
//! `tests/interop.rs` meets other implementations, `browser/` drives the page, `vectors/` has recorded streams of bytes.
//! `cargo xtask test` runs them all.
