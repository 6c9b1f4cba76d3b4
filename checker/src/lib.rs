//! Is this history legal?
mod judgement;
mod linearizable;
mod spec;
pub mod specs;
pub use judgement::{Blocked, Judgement, Ruling, Step, UnknownPartition, Violation};
pub use linearizable::{Coordinates, Limits, Options, linearizable};
pub use spec::{Answer, Call, Leaves, Needs, Shape, Spec};
pub use stateright::semantics::SequentialSpec;
