//! Ready specifications.
pub mod counter;
pub mod keyed;
pub mod list;
pub mod lock;
pub mod member;
pub mod queue;
pub mod register;
pub mod set;
mod text;
