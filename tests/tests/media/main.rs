//! The main job, from outside: a photo is uploaded, its variants come out, and no failure in between loses
//! it. Each part is a process that tests can kill.

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
mod picture;
mod proxy;
mod server;
mod settings;
mod spin;
mod stack;
mod two_routers;
mod unfinished;
