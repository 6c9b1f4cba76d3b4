//! Ready specifications.
pub mod keyed;
pub mod list;
pub mod lock;
pub mod member;
pub mod register;
pub mod set;
mod text;
