//! The main job, from outside: a photo goes in, its prints come out, and nothing that happens in between
//! can lose it. Everything is a process of its own and can be killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod api;
mod client;
mod colour;
mod data;
mod golden;
mod limits;
mod live;
mod nothing_lost;
mod own_step;
mod part;
mod picture;
mod proxy;
mod settings;
mod spin;
mod stack;
mod two_routers;
mod unfinished;
