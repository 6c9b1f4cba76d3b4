//! What the faults of a run amount to, per class.

use crate::receipt::Receipt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of one class of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCoverage {
    /// Whether the run was asked to inject it.
    pub requested: bool,
    /// How many injections took effect, as far as they know.
    pub injected: u64,
    /// How many of them are proven to have bitten.
    pub effective: u64,
}

/// Counts the receipts of each class; a requested class without any is there with zeros.
#[must_use]
pub fn coverage<'a>(
    requested: &[String],
    receipts: impl IntoIterator<Item = &'a Receipt>,
) -> BTreeMap<String, ClassCoverage> {
    let mut classes: BTreeMap<String, ClassCoverage> = BTreeMap::new();
    for class in requested {
        classes.entry(class.clone()).or_default().requested = true;
    }
    for receipt in receipts {
        let class = classes.entry(receipt.fault.clone()).or_default();
        class.injected += u64::from(receipt.in_effect.is_some());
        class.effective += u64::from(receipt.effective);
    }
    classes
}
