//! Tests of the host with small components that each have one behaviour, most of them malicious.
//!
//! The components are `tests/guests/*`. `cargo xtask test` builds them to `build/guests/`, or to the
//! folder in `TIRAGE_GUESTS`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod calls;
mod failures;
mod harness;
mod outgoing;
mod outgoing_limits;
mod own_step;
mod pooling;
mod servers;
mod worlds;

/// The guests that a test uses, here or in `tests/tests/system`. `every_guest_has_a_test` compares the
/// list with the built guests.
const TESTED: [&str; 22] = [
    "big-response",
    "call-again",
    "call-component",
    "call-out",
    "call-out-02",
    "checksum",
    "count",
    "eat-memory",
    "echo",
    "give-away",
    "guestbook",
    "headers",
    "hello",
    "loop-forever",
    "sleep",
    "snoop",
    "sql-client",
    "stream-slowly",
    "too-much",
    "trap",
    "variables",
    "wasi02",
];

#[test]
fn every_guest_has_a_test() {
    let mut built: Vec<_> = std::fs::read_dir(harness::guests())
        .expect("the guests are built: run `cargo xtask test`")
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    built.sort();
    assert_eq!(built, TESTED);
}
