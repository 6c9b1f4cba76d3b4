//! A node says what its protocol has, and nothing else.
//!
//! Only where somebody reads what nodes say to each other and to clients; elsewhere there is no such check. What a node wrote
//! against the protocol is quoted. Whoever read along has to have said that it came to the end, for each node: of one that
//! was killed before that nobody knows what else its node wrote.

use super::{Check, Facts, Ruling};
use crate::results::Observed;
use history::NodeId;
use std::collections::BTreeSet;

/// Invalid when a node broke its protocol, unknown when not all that a node wrote was read. To be asked where somebody
/// should have read along.
#[must_use]
pub fn protocol(facts: &Facts<'_>) -> Check {
    let mut broken = 0;
    let mut breaking = Vec::new();
    let mut read: BTreeSet<NodeId> = BTreeSet::new();
    for observation in facts.observations {
        let Observed::Protocol { node, broken: wrong, lines, unread } = &observation.what else {
            continue;
        };
        broken += wrong;
        breaking.extend(lines.iter().map(|line| format!("{node}: {line}")));
        if !unread {
            read.insert(*node);
        }
    }
    let nodes = (1..=facts.nodes).map(NodeId);
    let unread: Vec<String> =
        nodes.filter(|node| !read.contains(node)).map(|node| node.to_string()).collect();
    let (ruling, message) = match breaking.first() {
        Some(first) if broken > 1 => (Ruling::Invalid, format!("{first}, and {} more", broken - 1)),
        Some(first) => (Ruling::Invalid, first.clone()),
        None if unread.is_empty() => {
            (Ruling::Valid, "every line that a node wrote was a message".to_owned())
        }
        None => {
            let who = unread.join(" and ");
            let why = "who reads along was killed first, or the run was";
            (Ruling::Unknown, format!("what {who} wrote was not read to its end: {why}"))
        }
    };
    let check = Check::new("protocol", ruling, message).fact("broken", broken);
    check.fact("lines", breaking).fact("unread", unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Observation;
    use history::{Header, History, Nanos, Order};
    use std::time::Duration;

    /// What is said of two nodes, of which so many, from the first on, have such a line: broken, unread, lines.
    fn judge(nodes: &[(u64, bool, &[&str])]) -> (Ruling, String) {
        let history =
            History::from_events(Header::new("register"), Vec::new(), Order::Time).unwrap();
        let observations: Vec<Observation> = nodes
            .iter()
            .zip(1..)
            .map(|((broken, unread, lines), node)| Observation {
                time: Nanos(0),
                what: Observed::Protocol {
                    node: NodeId(node),
                    broken: *broken,
                    lines: lines.iter().map(|line| (*line).to_owned()).collect(),
                    unread: *unread,
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
        let check = protocol(&facts);
        (check.verdict, check.message)
    }

    #[test]
    fn a_broken_line_is_invalid_and_quoted() {
        let valid = "every line that a node wrote was a message";
        let right = (0, false, &[][..]);
        assert_eq!(judge(&[right, right]), (Ruling::Valid, valid.to_owned()));
        let broken = (3, false, &["it is empty: ``", "it is no JSON object: `x`"][..]);
        let wrong = "n2: it is empty: ``, and 2 more";
        assert_eq!(judge(&[right, broken]), (Ruling::Invalid, wrong.to_owned()));
        let one = (1, true, &["it is empty: ``"][..]);
        assert_eq!(judge(&[one, right]), (Ruling::Invalid, "n1: it is empty: ``".to_owned()));
    }

    #[test]
    fn what_was_not_read_to_its_end_is_not_called_right() {
        let (right, cut) = ((0, false, &[][..]), (0, true, &[][..]));
        for (nodes, who) in
            [(&[][..], "n1 and n2"), (&[right][..], "n2"), (&[cut, right][..], "n1")]
        {
            let (ruling, message) = judge(nodes);
            assert_eq!(ruling, Ruling::Unknown);
            let said = format!("what {who} wrote was not read to its end");
            assert!(message.starts_with(&said), "{message}");
        }
    }
}
