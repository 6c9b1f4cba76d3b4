//! Every class of fault there is. A new one is one file and one line here.

use crate::client_cut::ClientCut;
use crate::fault::Fault;
use crate::flap::Flap;
use crate::kill::Kill;
use crate::membership::Membership;
use crate::partition::Partition;
use crate::pause::Pause;
use crate::slow::Slow;
use crate::snapshot::Snapshot;
use crate::transfer::Transfer;
use crate::unreachable::Unreachable;

static ALL: &[&dyn Fault] = &[
    &Partition,
    &Kill,
    &Pause,
    &Slow,
    &Flap,
    &Unreachable,
    &ClientCut,
    &Membership,
    &Transfer,
    &Snapshot,
];

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
