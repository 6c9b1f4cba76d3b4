//! Blocks of calls that must each stay together: can they be put one after another?
//!
//! After Gibbons and Korach, "Testing Shared Memories" (1997), who do it for the values of a
//! register. A block is a set of calls that is legal alone, has to be contiguous in any legal order
//! of the whole, and does not care which blocks come before or after it. All that real time says of
//! two blocks is told by the first end and the last start in each: block A must come before block B
//! if some call of A ended before some call of B started, which is so if and only if
//! `A.first_end < B.last_start`. If that holds both ways, no order exists.
//!
//! Otherwise one does. Call a block *forward* if its first end is before its last start: it has to
//! be in force all that time. Two forward blocks that do not conflict do not overlap. All calls of
//! a block that is not forward are open together between its last start and its first end, and if
//! it does not conflict, some moment of those lies within no forward block: put it there. Blocks
//! ordered by those moments, forward ones by their first end, respect real time.

/// What real time says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// The earliest end of its calls.
    pub(crate) first_end: u64,
    /// The latest start of its calls.
    pub(crate) last_start: u64,
}

impl Zone {
    fn is_forward(self) -> bool {
        self.first_end < self.last_start
    }

    fn conflicts(self, other: Self) -> bool {
        self.first_end < other.last_start && other.first_end < self.last_start
    }
}

/// Blocks that can be put one after another.
#[derive(Debug)]
pub(crate) struct Arranged<'a> {
    zones: &'a [Zone],
    /// In the order of their first ends.
    forward: Vec<u32>,
    /// In the order of their last starts.
    others: Vec<u32>,
}

/// Whether an order of the blocks respects real time; if not, two blocks that each have to come before the other.
pub(crate) fn arrange(zones: &[Zone]) -> Result<Arranged<'_>, (u32, u32)> {
    let zone = |place: u32| zones[place as usize];
    let (mut forward, mut others): (Vec<u32>, Vec<u32>) =
        (0..zones.len() as u32).partition(|place| zone(*place).is_forward());
    // Blocks come in the order in which they were begun, so both are nearly sorted already.
    forward.sort_by_key(|place| zone(*place).first_end);
    others.sort_by_key(|place| zone(*place).last_start);
    let arranged = Arranged { zones, forward, others };
    for pair in arranged.forward.windows(2) {
        // Those before do not conflict, so the last one reaches farthest.
        if zone(pair[0]).conflicts(zone(pair[1])) {
            return Err((pair[0], pair[1]));
        }
    }
    let mut next = 0;
    for &place in &arranged.others {
        // Only the last forward block that is in force before this start can reach beyond it.
        let before = arranged.before(place, &mut next);
        if let Some(before) = before.filter(|before| zone(*before).conflicts(zone(place))) {
            return Err((before, place));
        }
    }
    Ok(arranged)
}

impl Arranged<'_> {
    fn zone(&self, place: u32) -> Zone {
        self.zones[place as usize]
    }

    /// The last forward block that is in force before the last start in this one; `next` are those that are so for an
    /// earlier one.
    fn before(&self, place: u32, next: &mut usize) -> Option<u32> {
        let start = self.zone(place).last_start;
        while self.forward.get(*next).is_some_and(|other| self.zone(*other).first_end < start) {
            *next += 1;
        }
        next.checked_sub(1).map(|last| self.forward[last])
    }

    /// Such an order.
    pub(crate) fn order(&self) -> Vec<u32> {
        let mut moments: Vec<(u64, u32)> = Vec::with_capacity(self.zones.len());
        moments.extend(self.forward.iter().map(|place| (self.zone(*place).first_end, *place)));
        let mut next = 0;
        for &place in &self.others {
            let start = self.zone(place).last_start;
            let before = self.before(place, &mut next);
            let over = before.map_or(start, |before| start.max(self.zone(before).last_start));
            moments.push((over, place));
        }
        // A block that is not forward goes before a forward one that begins at its very moment.
        moments.sort_by_key(|(moment, place)| (*moment, self.zone(*place).is_forward()));
        moments.into_iter().map(|(_, place)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Zone, arrange};

    /// Every set of four zones over six moments: an order is given exactly if no two conflict, and
    /// it respects every precedence.
    #[test]
    fn all_small_sets_of_zones() {
        const MOMENTS: u64 = 5;
        let zone = |number: u64| Zone { first_end: number / MOMENTS, last_start: number % MOMENTS };
        let kinds = MOMENTS * MOMENTS;
        let (mut orders, mut conflicts) = (0_u64, 0_u64);
        for number in 0..kinds.pow(4) {
            let zones: Vec<Zone> = (0..4).map(|place| zone(number / kinds.pow(place))).collect();
            let zones: Vec<Zone> = zones
                .iter()
                .map(|z| Zone { first_end: z.first_end % MOMENTS, last_start: z.last_start })
                .collect();
            let conflict = (0..4).any(|a| (0..a).any(|b: usize| zones[a].conflicts(zones[b])));
            match arrange(&zones) {
                Ok(arranged) => {
                    let order = arranged.order();
                    orders += 1;
                    assert!(!conflict, "{zones:?}");
                    for (later, &b) in order.iter().enumerate() {
                        for &a in &order[..later] {
                            let (a, b) = (zones[a as usize], zones[b as usize]);
                            assert!(b.first_end >= a.last_start, "{zones:?} {order:?}");
                        }
                    }
                    assert_eq!(order.len(), zones.len());
                }
                Err((a, b)) => {
                    conflicts += 1;
                    assert!(zones[a as usize].conflicts(zones[b as usize]), "{zones:?}");
                }
            }
        }
        println!("{orders} sets of zones in order, {conflicts} in conflict");
        assert!(orders > 10_000 && conflicts > 10_000);
    }
}
