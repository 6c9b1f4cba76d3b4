//! The Raft core under test, without processes, sockets or clocks.
//!
//! * `golden`: scripts in `testdata/raft`, each named after a behaviour, with every message in them.
//! * `paper`: tests named after the sections and figures of the Raft paper.
//! * `membership`: changes of membership and transfers, from the paper and the thesis, and their bugs.
//! * `simulation`: seeded runs of whole clusters (`cluster::simulator`), and proof that they were no picnic.
//! * `compaction`: small clusters that compact all the time.
//! * `churn`: random changes of membership under faults.
//! * `scenarios`: the shortest story of each bug that luck does not find.
//! * `regressions`: what went wrong in other implementations, by issue.
//! * `bugs`: each deliberate bug, and what catches it.

mod bugs;
mod churn;
mod compaction;
mod golden;
mod machine;
mod membership;
mod network;
mod paper;
mod regressions;
mod scenarios;
mod script;
mod simulation;
