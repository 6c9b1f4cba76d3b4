//! The `harness` command as people and scripts meet it: its exit codes, its words, its files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod administration;
mod bad_input;
mod certificate;
mod check;
mod check_formats;
mod command;
mod deployment;
mod disk;
mod etcd;
mod guardian;
mod help;
mod known;
mod maelstrom;
mod namespaces;
mod plan;
mod recorded;
mod simulate;
mod written;
