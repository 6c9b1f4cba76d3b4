//! The crate from outside: the hub over real sockets, schedules over many seeds, the nemesis against
//! a fake environment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod accept;
mod administration;
mod atomic;
mod clock;
mod disk;
mod disk_classes;
mod echo;
mod holding;
mod lab;
mod leak;
mod message;
mod nemesis;
mod network;
mod one_way;
mod order;
mod pace;
mod processes;
mod proof;
mod schedule;
mod shape;
mod shared;
mod stage;
mod transparency;
