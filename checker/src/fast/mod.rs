//! Algorithms made for one data type, near-linear where the search is not.
//!
//! Each decides exactly or declines; `docs/checker.md` has what each decides and why it is right.
//! They know calls by their places, starts and ends; one call came before another if it ended
//! before the other started, and equal coordinates are concurrent. What they say is never taken on
//! trust where that can be afforded: tests replay every order and search every proof again.

pub(crate) mod blocks;
pub(crate) mod counter;
pub(crate) mod layers;
pub(crate) mod list;
pub(crate) mod lock;
mod lookup;
pub(crate) mod queue;
pub(crate) mod set;
pub(crate) mod string;
pub(crate) mod zones;
