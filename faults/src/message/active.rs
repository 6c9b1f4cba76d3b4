//! The rules that are in effect now, and what came of each.

use super::rule::{Fate, MessageCounts, MessageRule};
use crate::link::Link;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// One rule in effect.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) rule: MessageRule,
    seed: u64,
    links: BTreeSet<Link>,
    counts: Mutex<BTreeMap<Link, MessageCounts>>,
}

impl Active {
    /// Counts something that was done on a link.
    pub(super) fn count(&self, link: Link, what: impl FnOnce(&mut MessageCounts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        what(counts.entry(link).or_default());
    }

    fn counts(&self) -> BTreeMap<Link, MessageCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What becomes of the `number`-th message of a link, which has arrived.
    pub(super) fn fate(&self, link: Link, number: u64) -> Fate {
        self.count(link, |counts| counts.requests += 1);
        self.rule.fate(self.seed, link, number)
    }

    /// Whether the `number`-th answer of a link, which has arrived, is lost.
    pub(super) fn loses_reply(&self, link: Link, number: u64) -> bool {
        let lost = self.rule.loses_reply(self.seed, link, number);
        self.count(link, |counts| {
            counts.replies += 1;
            counts.dropped_replies += u64::from(lost);
        });
        lost
    }

    /// Draws for what happens by itself, once each moment.
    pub(super) fn draws(&self, link: Link, moment: u64) -> crate::random::Random {
        super::rule::stream(!self.seed, link, moment)
    }
}

/// All rules in effect, by the number of the fault that each belongs to.
#[derive(Debug, Default)]
pub(super) struct Rules {
    active: Mutex<BTreeMap<u64, Arc<Active>>>,
    changes: watch::Sender<u64>,
}

impl Rules {
    fn active(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Active>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a rule into effect on some links; where several are, the one of the highest number holds.
    pub(super) fn begin(&self, id: u64, links: BTreeSet<Link>, rule: MessageRule, seed: u64) {
        let active = Active { rule, seed, links, counts: Mutex::default() };
        self.active().insert(id, Arc::new(active));
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Ends a rule and says what came of it; nothing, if it is not in effect.
    pub(super) fn end(&self, id: u64) -> BTreeMap<Link, MessageCounts> {
        let ended = self.active().remove(&id);
        self.changes.send_modify(|changes| *changes += 1);
        ended.map(|active| active.counts()).unwrap_or_default()
    }

    /// Ends all of them.
    pub(super) fn clear(&self) {
        self.active().clear();
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The rule of a link now.
    pub(super) fn of(&self, link: Link) -> Option<Arc<Active>> {
        let active = self.active();
        active.values().rev().find(|active| active.links.contains(&link)).cloned()
    }

    /// Wakes when rules begin or end.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
