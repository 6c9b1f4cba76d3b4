//! The harness as a library: from flags to a verdict.
//!
//! `args → Plan → Deployment → {clients, nemesis, observer} → History → Verdict → Report`. Every arrow
//! is a value with a file in the run folder ([`results`]), so `check` and `run --replay` start again
//! from disk. The binary only parses, dispatches and turns the outcome into an exit code ([`exit`]).

pub mod check;
pub mod cli;
pub mod deploy;
pub mod disk;
pub mod duration;
pub mod event;
pub mod exit;
pub mod guardian;
pub mod list;
pub mod node;
pub mod observer;
pub mod plan;
pub mod recorder;
pub mod report;
pub mod results;
pub mod run;
pub mod seed;
pub mod series;
pub mod simulate;
pub mod stall;
pub mod system;
pub mod terminal;
pub mod verdict;
pub mod worker;
