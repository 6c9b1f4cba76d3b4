//! What a workload is.

use crate::{Generator, Settings};

/// What clients do, and the spec that every history of it must obey.
pub trait Workload: Sync {
    /// Its name on the command line and in the header of a history.
    fn name(&self) -> &'static str;

    /// One line for people who choose.
    fn about(&self) -> &'static str;

    /// The name of its check in a verdict, such as `linearizable`.
    fn check(&self) -> &'static str;

    /// Every function that its generator may issue.
    fn functions(&self) -> &'static [&'static str];

    /// The operations of a run.
    fn generator(&self, settings: &Settings) -> Box<dyn Generator>;
}
