//! A node says what its protocol has, and nothing else.
//!
//! Only where somebody reads what nodes say to each other and to clients; elsewhere there is no such check. What a node wrote
//! against the protocol is quoted. That it asked for something that the harness has not is no mistake of the node, but
//! then nothing it does proves much.

use super::{Check, Facts, Ruling};
use crate::results::Observed;

/// Invalid when a node broke its protocol, unknown when it was refused something that the protocol has; none where nobody
/// read along.
#[must_use]
pub fn protocol(facts: &Facts<'_>) -> Option<Check> {
    let (mut read, mut broken, mut unserved) = (false, 0, 0);
    let (mut breaking, mut refused) = (Vec::new(), Vec::new());
    for observation in facts.observations {
        let Observed::Protocol { node, broken: b, unserved: u, lines } = &observation.what else {
            continue;
        };
        read = true;
        broken += b;
        unserved += u;
        let told = if *b > 0 { &mut breaking } else { &mut refused };
        told.extend(lines.iter().map(|line| format!("{node}: {line}")));
    }
    let more = |count: u64| match count {
        0 | 1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let first = |told: &[String]| told.first().cloned().unwrap_or_default();
    let (ruling, message) = match (broken, unserved) {
        (0, 0) => (Ruling::Valid, "every line that a node wrote was a message".to_owned()),
        (0, asked) => {
            let asked = more(asked);
            (Ruling::Unknown, format!("{} was asked for and is not here{asked}", first(&refused)))
        }
        (wrong, _) => (Ruling::Invalid, format!("{}{}", first(&breaking), more(wrong))),
    };
    let lines: Vec<String> = breaking.into_iter().chain(refused).collect();
    let check = Check::new("protocol", ruling, message).fact("broken", broken);
    read.then(|| check.fact("unserved", unserved).fact("lines", lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Observation;
    use history::{Header, History, Nanos, NodeId, Order};
    use std::time::Duration;

    fn judge(nodes: &[(u64, u64, &[&str])]) -> Option<(Ruling, String)> {
        let history =
            History::from_events(Header::new("register"), Vec::new(), Order::Time).unwrap();
        let observations: Vec<Observation> = nodes
            .iter()
            .zip(1..)
            .map(|((broken, unserved, lines), node)| Observation {
                time: Nanos(0),
                what: Observed::Protocol {
                    node: NodeId(node),
                    broken: *broken,
                    unserved: *unserved,
                    lines: lines.iter().map(|line| (*line).to_owned()).collect(),
                },
            })
            .collect();
        let facts = Facts {
            requested: &[],
            nodes: 2,
            recovery_limit: Duration::ZERO,
            recovery_claimed: true,
            functions: &[],
            history: &history,
            injections: &[],
            observations: &observations,
        };
        protocol(&facts).map(|check| (check.verdict, check.message))
    }

    #[test]
    fn a_broken_line_is_invalid_and_quoted_and_a_missing_service_is_unknown() {
        let said = |ruling, message: &str| Some((ruling, message.to_owned()));
        assert_eq!(judge(&[]), None, "nobody read along");
        let valid = "every line that a node wrote was a message";
        assert_eq!(judge(&[(0, 0, &[]), (0, 0, &[])]), said(Ruling::Valid, valid));
        let unserved = (0, 2, &["the service `seq-kv`"][..]);
        let asked = "n1: the service `seq-kv` was asked for and is not here, and 1 more";
        assert_eq!(judge(&[unserved, (0, 0, &[])]), said(Ruling::Unknown, asked));
        let broken = (3, 1, &["it is empty: ``", "the service `seq-kv`"][..]);
        let wrong = "n2: it is empty: ``, and 2 more";
        assert_eq!(judge(&[unserved, broken]), said(Ruling::Invalid, wrong));
        assert_eq!(
            judge(&[(1, 0, &["it is empty: ``"])]),
            said(Ruling::Invalid, "n1: it is empty: ``")
        );
    }
}
