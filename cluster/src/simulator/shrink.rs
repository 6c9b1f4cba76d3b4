//! Makes a failing episode small: what is left of its actions is what it needs.
//!
//! Actions are left out in ever smaller pieces (delta debugging, Zeller 1999). Every try is a whole run, judged
//! by the caller; since each link and each purpose has a stream of its own, most of the episode stays as it was.

use super::{Outcome, Plan, Timed, simulate};

/// The plan with as few actions as could be found in `runs` runs so that `still` holds of its outcome, and that
/// outcome. None if it does not even hold of the plan itself.
pub fn shrink(
    plan: &Plan,
    runs: usize,
    mut still: impl FnMut(&Outcome) -> bool,
) -> Option<(Plan, Outcome)> {
    let first = simulate(plan);
    if !still(&first) {
        return None;
    }
    let end = first.violation.as_ref().map_or(u64::MAX, |violation| violation.time);
    let before = |(time, _): &&Timed| *time <= end;
    let mut least: Vec<Timed> = first.actions.iter().filter(before).copied().collect();
    let cut = simulate(&Plan { actions: Some(least.clone()), ..plan.clone() });
    let mut left = runs.saturating_sub(2);
    let mut outcome = if still(&cut) {
        cut
    } else {
        least.clone_from(&first.actions);
        first
    };
    let mut pieces = 1;
    // All of them at once first, then halves, quarters, …
    while !least.is_empty() && left > 0 {
        let size = least.len().div_ceil(pieces);
        let mut start = 0;
        let mut smaller = false;
        while start < least.len() && left > 0 {
            let end = (start + size).min(least.len());
            let rest: Vec<Timed> = [&least[..start], &least[end..]].concat();
            let tried = simulate(&Plan { actions: Some(rest.clone()), ..plan.clone() });
            left -= 1;
            if still(&tried) {
                (least, outcome, smaller) = (rest, tried, true);
            } else {
                start = end;
            }
        }
        if size == 1 && !smaller {
            break;
        }
        pieces = if size == 1 { least.len().max(1) } else { pieces * 2 };
    }
    Some((Plan { actions: Some(least), ..plan.clone() }, outcome))
}
