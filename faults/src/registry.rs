//! Every class of fault there is. A new one is one file and one line here.

use crate::bit_flip::BitFlip;
use crate::claims::Power;
use crate::client_cut::ClientCut;
use crate::clock::Clock;
use crate::crash::Crash;
use crate::disk_error::DiskError;
use crate::disk_full::DiskFull;
use crate::disk_hang::DiskHang;
use crate::disk_slow::DiskSlow;
use crate::fault::Fault;
use crate::flap::Flap;
use crate::kill::Kill;
use crate::membership::Membership;
use crate::message::Message;
use crate::partition::Partition;
use crate::pause::Pause;
use crate::power_loss::PowerLoss;
use crate::slow::Slow;
use crate::snapshot::Snapshot;
use crate::starve::Starve;
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
    &PowerLoss,
    &DiskError,
    &DiskFull,
    &DiskSlow,
    &DiskHang,
    &BitFlip,
    &Crash,
    &Starve,
    &Clock,
    &Message,
];

/// Every class of fault, in the order in which they are listed.
#[must_use]
pub fn all() -> &'static [&'static dyn Fault] {
    ALL
}

/// Whether a class needs a disk of ours under the nodes.
#[must_use]
pub fn is_of_disk(class: &str) -> bool {
    by_name(class).is_some_and(|fault| fault.power() == Power::Disk)
}

/// The class of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Fault> {
    ALL.iter().copied().find(|fault| fault.name() == name)
}
