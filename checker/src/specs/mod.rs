//! Ready specifications.
pub mod counter;
pub mod keyed;
pub mod queue;
pub mod register;
