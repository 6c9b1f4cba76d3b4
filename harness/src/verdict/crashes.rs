//! No node may end for a reason of its own.

use super::{Check, Facts, Ruling};
use crate::results::{ExitCause, Observed};
use history::Nanos;
use std::time::Duration;

/// How long before and after it a starved machine may be why a node was not ready in time: the time it
/// has for that, and some for the sample to be written.
const STARVED_NEAR: Duration = Duration::from_secs(13);

/// An exit or panic of a node that no fault caused is invalid, one that a fault permits is listed, and so is a node that did not become
/// ready again, which is unknown if the harness itself was starved.
#[must_use]
pub fn crashes(facts: &Facts<'_>) -> Check {
    let mut unexplained = Vec::new();
    let mut starved = Vec::new();
    let (mut ready, mut by_fault) = (0_u64, 0_u64);
    let mut permitted = Vec::new();
    for observation in facts.observations {
        match &observation.what {
            Observed::Ready { .. } => ready += 1,
            Observed::Exit { node, status, cause, log } => {
                let at = observation.time.as_seconds();
                let exit = format!("{node} ended by itself at {at:.1} s ({status})");
                match cause {
                    ExitCause::Stop => {}
                    ExitCause::Fault => by_fault += 1,
                    ExitCause::Permitted => permitted.push(exit),
                    ExitCause::NotReady => {
                        let late =
                            format!("{node} did not become ready after a restart, at {at:.1} s");
                        if starved_near(facts, observation.time) {
                            starved.push(late);
                        } else {
                            unexplained.push(late);
                        }
                    }
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
    } else if let Some(first) = starved.first() {
        (Ruling::Unknown, format!("{first}; but the harness itself was starved"))
    } else if ready == 0 {
        (Ruling::Unknown, "nothing was recorded of the nodes".to_owned())
    } else if !permitted.is_empty() {
        let count = permitted.len();
        let message = format!(
            "every exit was a fault of ours ({by_fault}) or one that a fault permits ({count})"
        );
        (Ruling::Valid, message)
    } else if by_fault == 0 {
        (Ruling::Valid, "no node ended before it was stopped".to_owned())
    } else {
        (Ruling::Valid, format!("every exit was a fault of ours ({by_fault})"))
    };
    Check::new("crashes", ruling, message)
        .fact("by_fault", by_fault)
        .fact("permitted", permitted)
        .fact("unexplained", unexplained)
}

fn starved_near(facts: &Facts<'_>, time: Nanos) -> bool {
    facts.observations.iter().any(|observation| {
        matches!(observation.what, Observed::Harness { starved: true, .. })
            && Duration::from_nanos(observation.time.0.abs_diff(time.0)) <= STARVED_NEAR
    })
}
