//! Every class of fault there is. A new one is one file and one line here.

use crate::clock::Clock;
use crate::crash::Crash;
use crate::fault::Fault;
use crate::kill::Kill;
use crate::partition::Partition;
use crate::pause::Pause;
use crate::starve::Starve;

static ALL: &[&dyn Fault] = &[&Partition, &Kill, &Pause, &Crash, &Starve, &Clock];

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
