//! What came before a window of calls.

use super::evidence::{Evidence, Item};
use super::left_out::LeftOut;
use crate::Spec;
use crate::hash::Table;
use crate::partition::{Partition, StateId};

/// The first calls of a partition, in a form that many windows after them can share.
#[derive(Debug)]
pub(crate) struct Past {
    /// The calls before this place,
    len: usize,
    /// of which these stand at all horizons from some one on as they do at that one;
    settled: LeftOut<Table<StateId, u64>>,
    /// and these were answered after it.
    others: Vec<usize>,
}

impl Past {
    /// All but the last `most` calls that started up to `horizon`, as seen from there and later.
    pub(crate) fn before<S: Spec>(partition: &Partition<S>, horizon: u64, most: usize) -> Self {
        let len = started(partition, horizon).saturating_sub(most);
        let (mut settled, mut others) = (LeftOut::default(), Vec::new());
        for (place, call) in partition.calls[..len].iter().enumerate() {
            if call.answer.as_ref().is_some_and(|answer| answer.end > horizon) {
                others.push(place);
            } else if let Some(item) = Item::new(partition, place, horizon) {
                settled.add(&item);
            }
        }
        Self { len, settled, others }
    }

    /// The last `most` calls that started up to `horizon`; those of the past are none of them.
    pub(crate) fn window<S: Spec>(
        &self,
        partition: &Partition<S>,
        horizon: u64,
        most: usize,
    ) -> Evidence {
        let started = started(partition, horizon);
        let first = started.saturating_sub(most).max(self.len);
        let item = |place: usize| Item::new(partition, place, horizon);
        let mut before: LeftOut<Table<StateId, u64>> = LeftOut::default();
        let between = self.others.iter().copied().chain(self.len..first);
        between.filter_map(item).for_each(|item| before.add(&item));
        let mut items: Vec<Item> = (first..started).filter_map(item).collect();
        for item in &mut items {
            item.before = self.settled.latest_for(item).max(before.latest_for(item));
        }
        Evidence::of(items, horizon, first > 0)
    }

    /// Steps that [`Self::window`] takes.
    pub(crate) fn steps<S: Spec>(&self, partition: &Partition<S>, horizon: u64) -> u64 {
        (self.others.len() + started(partition, horizon).saturating_sub(self.len)) as u64 + 1
    }
}

/// How many calls started up to the horizon.
fn started<S: Spec>(partition: &Partition<S>, horizon: u64) -> usize {
    partition.calls.partition_point(|call| call.start <= horizon)
}
