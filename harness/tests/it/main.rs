//! The `harness` command as people and scripts meet it: its exit codes, its words, its files.

mod bad_input;
mod check;
mod command;
mod help;
mod plan;
mod recorded;
