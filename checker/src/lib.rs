//! Is this history legal?
mod budget;
mod explain;
mod judgement;
mod linearizable;
mod memo;
#[cfg(test)]
mod oracle;
mod partition;
mod problem;
mod search;
mod shrink;
mod spec;
pub mod specs;
#[cfg(test)]
mod tests;

pub use budget::Limits;
pub use judgement::{Blocked, Judgement, Ruling, Step, UnknownPartition, Violation};
pub use linearizable::{Coordinates, Options, linearizable};
pub use spec::{Answer, Call, Leaves, Needs, Shape, Spec};
pub use stateright::semantics::SequentialSpec;
