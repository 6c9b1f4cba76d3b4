//! Calls in layers: those of a lower layer must take effect before those of a higher one.
//!
//! Where the answers tell the order in which things happened (which reads came before an element
//! was added, which token was given first), all that is left to ask is whether real time agrees. It
//! does if and only if no call ended before one of a lower layer started. Then the calls sorted by
//! layer and, within a layer, by start are a linearization: of two calls in that order the second
//! never ended before the first started. Within a layer calls are in any order, so whoever makes
//! the layers sees to it that any order is legal.
//!
//! Layers say nothing of legality. A call of unknown outcome is placed only if it happened; its end
//! is then infinity.

use crate::budget::{Budget, Halt};
use crate::{Call, Finding, SequentialSpec};

/// When a call was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its place among the calls.
    pub(crate) call: u32,
    pub(crate) start: u64,
    /// `u64::MAX` if its outcome is unknown: nothing starts after that.
    pub(crate) end: u64,
    pub(crate) answered: bool,
}

impl Span {
    pub(crate) fn new<S: SequentialSpec>(place: usize, call: &Call<S>) -> Self {
        let end = call.answer.as_ref().map_or(u64::MAX, |answer| answer.end);
        Self { call: place as u32, start: call.start, end, answered: call.answer.is_some() }
    }
}

/// Calls that are illegal alone, each named once.
pub(crate) fn illegal(by: &'static str, spans: impl IntoIterator<Item = Span>) -> Finding {
    let mut calls: Vec<u32> = spans.into_iter().map(|span| span.call).collect();
    calls.sort_unstable();
    calls.dedup();
    Finding::Illegal { by, calls }
}

/// A call that takes effect, and when in relation to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) layer: u64,
    pub(crate) span: Span,
}

/// What real time says of layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arranged {
    /// They can be: the calls in such an order.
    Order(Vec<u32>),
    /// They cannot: `late` ended before `early`, of a lower layer, started.
    Conflict { early: Placed, late: Placed },
}

/// Puts calls in the order of their layers. Of several conflicts it finds the one that is the first
/// to be there: the one in which `early` starts first.
pub(crate) fn arrange(mut placed: Vec<Placed>, budget: &mut Budget<'_>) -> Result<Arranged, Halt> {
    // Calls come in the order of their starts, or nearly so.
    placed.sort_by_key(|placed| (placed.span.start, placed.span.call));
    let mut by_end: Vec<Placed> =
        placed.iter().copied().filter(|placed| placed.span.answered).collect();
    by_end.sort_unstable_by_key(|placed| (placed.span.end, placed.span.call));
    let mut ended = by_end.into_iter().peekable();
    let mut highest: Option<Placed> = None;
    for &early in &placed {
        budget.spend(1)?;
        while let Some(late) = ended.next_if(|late| late.span.end < early.span.start) {
            budget.spend(1)?;
            if highest.is_none_or(|highest| highest.layer < late.layer) {
                highest = Some(late);
            }
        }
        if let Some(late) = highest.filter(|late| late.layer > early.layer) {
            return Ok(Arranged::Conflict { early, late });
        }
    }
    // Stable, so that those of one layer stay in the order of their starts.
    placed.sort_by_key(|placed| placed.layer);
    Ok(Arranged::Order(placed.into_iter().map(|placed| placed.span.call).collect()))
}

#[cfg(test)]
mod tests {
    use super::{Arranged, Placed, Span, arrange};
    use crate::budget::{Budget, Limits};

    fn placed(call: u32, layer: u64, start: u64, end: u64) -> Placed {
        Placed { layer, span: Span { call, start, end, answered: end < u64::MAX } }
    }

    fn arranged(placed: &[Placed]) -> Arranged {
        let mut budget = Budget::new(Limits::default(), &|| false);
        arrange(placed.to_vec(), &mut budget).expect("there is budget")
    }

    /// All sets of three calls in three layers over four moments, ties and unknown ends among them.
    #[test]
    fn all_small_sets_of_calls() {
        let mut kinds = Vec::new();
        for layer in 0..3 {
            for start in 0..4 {
                kinds.extend((start..4).map(|end| (layer, start, end)));
                kinds.push((layer, start, u64::MAX));
            }
        }
        let (mut orders, mut conflicts) = (0, 0);
        let precedes = |a: &Placed, b: &Placed| a.span.end < b.span.start;
        for a in &kinds {
            for b in &kinds {
                for c in &kinds {
                    let calls: Vec<Placed> = [a, b, c]
                        .into_iter()
                        .zip(0..)
                        .map(|(&(layer, start, end), call)| placed(call, layer, start, end))
                        .collect();
                    let offends = |early: &Placed, late: &Placed| {
                        early.layer < late.layer && precedes(late, early)
                    };
                    match arranged(&calls) {
                        Arranged::Order(order) => {
                            orders += 1;
                            for (place, &later) in order.iter().enumerate() {
                                for &sooner in &order[..place] {
                                    let (x, y) = (calls[sooner as usize], calls[later as usize]);
                                    assert!(x.layer <= y.layer && !precedes(&y, &x), "{calls:?}");
                                }
                            }
                            assert_eq!(order.len(), 3);
                        }
                        Arranged::Conflict { early, late } => {
                            conflicts += 1;
                            assert!(offends(&early, &late), "{calls:?}");
                            let sooner = |x: &Placed| x.span.start < early.span.start;
                            let first = calls
                                .iter()
                                .all(|x| !sooner(x) || !calls.iter().any(|y| offends(x, y)));
                            assert!(first, "another conflict was there before: {calls:?}");
                        }
                    }
                }
            }
        }
        println!("{orders} sets of layered calls in order, {conflicts} in conflict");
        assert!(orders > 10_000 && conflicts > 5_000);
    }

    #[test]
    fn the_budget_is_asked() {
        let calls: Vec<Placed> = (0..100).map(|call| placed(call, 0, 0, 9)).collect();
        let mut budget = Budget::new(Limits { steps: 50, ..Limits::default() }, &|| false);
        assert!(arrange(calls, &mut budget).is_err());
    }
}
