//! The `harness` command as people and scripts meet it: its exit codes, its words, its files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod check;
mod command;
mod deployment;
mod guardian;
mod help;
mod plan;
mod recorded;
