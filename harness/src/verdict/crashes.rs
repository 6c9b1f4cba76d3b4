//! No node may end for a reason of its own.

use super::{Check, Facts, Ruling};
use crate::results::{ExitCause, Observed};

/// An exit or panic of a node that no fault caused is invalid; exits that a fault permits are listed.
#[must_use]
pub fn crashes(facts: &Facts<'_>) -> Check {
    let mut unexplained = Vec::new();
    let mut permitted = Vec::new();
    let (mut ready, mut by_fault) = (0_u64, 0_u64);
    for observation in facts.observations {
        match &observation.what {
            Observed::Ready { .. } => ready += 1,
            Observed::Exit { node, status, cause, log } => {
                let at = observation.time.as_seconds();
                let exit = format!("{node} ended by itself at {at:.1} s ({status})");
                match cause {
                    ExitCause::Stop => {}
                    ExitCause::Fault => by_fault += 1,
                    ExitCause::Permitted(reason) => permitted.push(format!("{exit}: {reason}")),
                    ExitCause::Unexplained => {
                        let last = log.last().map_or(String::new(), |line| format!(": {line}"));
                        unexplained.push(format!("{exit}{last}"));
                    }
                }
            }
            _ => {}
        }
    }
    let (ruling, message) = if let Some(first) = unexplained.first() {
        let more = unexplained.len() - 1;
        let rest = if more == 0 { String::new() } else { format!(", and {more} more") };
        (Ruling::Invalid, format!("{first}{rest}"))
    } else if ready == 0 {
        (Ruling::Unknown, "nothing was recorded of the nodes".to_owned())
    } else if by_fault + permitted.len() as u64 == 0 {
        (Ruling::Valid, "no node ended before it was stopped".to_owned())
    } else {
        (Ruling::Valid, format!("every exit was a fault of ours ({by_fault})"))
    };
    let mut check = Check::new("crashes", ruling, message)
        .fact("by_fault", by_fault)
        .fact("unexplained", unexplained);
    check.warnings = permitted;
    check
}
