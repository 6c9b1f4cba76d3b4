//! Every class of fault there is. A new one is one file and one line here.

use crate::fault::Fault;
use crate::kill::Kill;
use crate::message::Message;
use crate::partition::Partition;
use crate::pause::Pause;

static ALL: &[&dyn Fault] = &[&Partition, &Kill, &Pause, &Message];

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
