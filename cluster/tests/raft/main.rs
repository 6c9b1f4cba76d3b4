//! The Raft core under test, without processes, sockets or clocks.
//!
//! * `golden`: scripts in `testdata/raft`, each named after a behaviour, with every message in them.
//! * `paper`: tests named after the sections and figures of the Raft paper.
//! * `membership`: changes of membership and transfers, from the paper and the thesis, and their bugs.
//! * `simulation`: seeded random runs of whole clusters, watched by the `oracle`.
//! * `compaction`: small clusters that compact all the time.
//! * `churn`: random changes of membership under faults.
//! * `bugs`: each deliberate bug, and what catches it.

mod bugs;
mod churn;
mod compaction;
mod golden;
mod machine;
mod membership;
mod network;
mod oracle;
mod paper;
mod script;
mod simulation;
mod simulator;
