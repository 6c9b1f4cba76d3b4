//! Every class of fault there is. A new one is one file and one line here.

use crate::fault::Fault;
use crate::kill::Kill;
use crate::membership::Membership;
use crate::partition::Partition;
use crate::pause::Pause;
use crate::snapshot::Snapshot;
use crate::transfer::Transfer;

static ALL: &[&dyn Fault] = &[&Partition, &Kill, &Pause, &Membership, &Transfer, &Snapshot];

/// Every class of fault, in the order in which they are listed.
#[must_use]
pub fn all() -> &'static [&'static dyn Fault] {
    ALL
}

/// The class of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Fault> {
    ALL.iter().copied().find(|fault| fault.name() == name)
}
