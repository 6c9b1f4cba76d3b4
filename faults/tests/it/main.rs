//! The crate from outside: the hub over real sockets, schedules over many seeds, the nemesis against
//! a fake environment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod atomic;
mod clock;
mod holding;
mod lab;
mod nemesis;
mod one_way;
mod processes;
mod proof;
mod schedule;
mod shape;
mod stage;
mod transparency;
