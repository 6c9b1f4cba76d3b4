//! What a system does to its nodes before they are told to stop by a signal.

use super::ledger::Intent;
use super::{Deployment, lock};
use crate::guardian::NodeSignal;
use std::time::Duration;

impl Deployment {
    /// Lets the system prepare every node that runs, all at once, each for at most `limit`. A node that ends meanwhile has
    /// been stopped.
    pub(super) fn prepare_stop(&self, limit: Duration) {
        let system = self.system();
        let running = lock(&self.inner.ledger).running();
        std::thread::scope(|scope| {
            for (node, pid) in running {
                let (Some(door), Ok(spec)) = (self.address(node), self.inner.spec(node)) else {
                    continue;
                };
                lock(&self.inner.ledger).intend(node, Intent::Stop);
                // What is paused answers nobody. It may fail because the node has just exited by itself.
                let _ = self.inner.guardian.signal(node, NodeSignal::Continue);
                scope.spawn(move || system.stop(&spec, door, pid, limit));
            }
        });
    }
}
