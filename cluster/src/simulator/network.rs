//! The links between nodes: an ordered pair each, with its own stream of luck.

use super::mix::Mix;
use super::random::{Purpose, Random};
use super::{MS, PLACES, Plan, Time, Way, place};
use crate::raft::NodeId;

/// All links.
#[derive(Clone, Debug)]
pub(super) struct Network {
    links: Vec<Link>,
    loss: u64,
    repeat: u64,
    late: u64,
    late_by: Time,
    /// Whether messages only take time now.
    pub(super) calm: bool,
}

#[derive(Clone, Debug)]
struct Link {
    random: Random,
    cut_until: Time,
}

impl Network {
    pub(super) fn new(plan: &Plan, mix: &Mix) -> Network {
        let link = |number| Link {
            random: Random::new(plan.seed, plan.episode, Purpose::Link(number)),
            cut_until: 0,
        };
        Network {
            links: (0..(PLACES * PLACES) as u64).map(link).collect(),
            loss: mix.loss,
            repeat: mix.repeat,
            late: mix.late,
            late_by: mix.late_by,
            calm: false,
        }
    }

    fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        &mut self.links[place(from) * PLACES + place(to)]
    }

    /// How long a message sent now takes, and the copy of it if there is one; none if it is lost.
    pub(super) fn send(
        &mut self,
        now: Time,
        from: NodeId,
        to: NodeId,
    ) -> (Option<Time>, Option<Time>) {
        let (calm, loss, repeat, late, late_by) =
            (self.calm, self.loss, self.repeat, self.late, self.late_by);
        let Link { random, cut_until } = self.link(from, to);
        // Every message takes the same number of draws, so its luck depends on its number alone.
        let [luck, first, second] = [random.next(), random.next(), random.next()];
        if *cut_until > now {
            return (None, None);
        }
        let usual = |number: u64| MS / 5 + number % (3 * MS);
        let delay = |number: u64, is_late: bool| {
            let more = if is_late { 20 * MS + (number >> 20) % late_by } else { 0 };
            usual(number) + more
        };
        if calm {
            return (Some(usual(first)), None);
        }
        let at = |shift: u32, per_thousand: u64| (luck >> shift) % 1000 < per_thousand;
        let arrival = (!at(0, loss)).then(|| delay(first, at(16, late)));
        let copy = at(32, repeat).then(|| delay(second, at(48, late.max(200))));
        (arrival, copy)
    }

    /// Whether what is sent now is lost.
    pub(super) fn is_cut(&mut self, now: Time, from: NodeId, to: NodeId) -> bool {
        self.link(from, to).cut_until > now
    }

    /// Cuts the links between the nodes for which `inside` says so and the others.
    pub(super) fn cut(
        &mut self,
        nodes: u64,
        inside: impl Fn(NodeId) -> bool,
        way: Way,
        until: Time,
    ) {
        for from in 1..=nodes {
            for to in 1..=nodes {
                let is_cut = match (inside(from), inside(to)) {
                    (true, false) => way != Way::In,
                    (false, true) => way != Way::Out,
                    _ => false,
                };
                if is_cut {
                    let link = self.link(from, to);
                    link.cut_until = link.cut_until.max(until);
                }
            }
        }
    }

    /// Every link works again.
    pub(super) fn heal(&mut self) {
        self.links.iter_mut().for_each(|link| link.cut_until = 0);
    }
}
