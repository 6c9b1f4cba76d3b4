//! The crate from outside: the hub over real sockets, schedules over many seeds, the nemesis against
//! a fake environment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod atomic;
mod echo;
mod holding;
mod lab;
mod message;
mod nemesis;
mod one_way;
mod proof;
mod schedule;
mod shape;
mod stage;
mod transparency;
