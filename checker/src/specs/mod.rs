//! Ready specifications.
pub mod keyed;
pub mod register;
