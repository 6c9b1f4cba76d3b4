//! The Raft core under test, without processes, sockets or clocks.
//!
//! * `golden`: scripts in `testdata/raft`, each named after a behaviour, with every message in them.
//! * `paper`: tests named after the sections and figures of the Raft paper.
//! * `simulation`: seeded random runs of whole clusters, watched by the `oracle`.
//! * `compaction`: small clusters that compact all the time.
//! * `bugs`: each deliberate bug, and what catches it.

mod bugs;
mod compaction;
mod golden;
mod machine;
mod network;
mod oracle;
mod paper;
mod script;
mod simulation;
mod simulator;
