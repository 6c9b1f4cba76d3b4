//! A node says what its protocol has, and nothing else.
//!
//! Only where somebody reads what nodes say to each other and to clients; elsewhere there is no such check. What a node wrote
//! against the protocol is quoted. Whoever read along has to have said that it came to the end of the last life of each node:
//! of one that was killed before that nobody knows what else its node wrote, and a line that was too long to be read may be
//! anything. Earlier lives end when the harness kills them, and nobody reads those to their end: they are counted in the
//! message and change no ruling. Neither does what was dropped on its way because it was not taken in time, which a network
//! may do; but a node that sends nothing twice may look wrong for it elsewhere, so it is told.

use super::{Check, Facts, Ruling};
use crate::results::Observed;
use crate::system::maelstrom::unread::Unread;
use history::NodeId;
use std::collections::BTreeSet;

/// Invalid when a node broke its protocol, unknown when not all that a node wrote in its last life was read. To be asked
/// where somebody should have read along.
#[must_use]
pub fn protocol(facts: &Facts<'_>) -> Check {
    let mut broken = 0;
    let mut breaking = Vec::new();
    let mut read: BTreeSet<NodeId> = BTreeSet::new();
    let mut lost = Unread::default();
    for observation in facts.observations {
        let Observed::Protocol { node, broken: wrong, lines, unread } = &observation.what else {
            continue;
        };
        broken += wrong;
        breaking.extend(lines.iter().map(|line| format!("{node}: {line}")));
        if !unread.end {
            read.insert(*node);
        }
        lost.killed_lives += unread.killed_lives;
        lost.too_long += unread.too_long;
        lost.dropped += unread.dropped;
    }
    let nodes = (1..=facts.nodes).map(NodeId);
    let unread: Vec<String> =
        nodes.filter(|node| !read.contains(node)).map(|node| node.to_string()).collect();
    let all = unread.is_empty() && lost.killed_lives == 0;
    let (ruling, message) = match breaking.first() {
        Some(first) if broken > 1 => {
            let more = broken - 1;
            (Ruling::Invalid, format!("{first}, and {}{more} more", at_least(all)))
        }
        Some(first) => (Ruling::Invalid, first.clone()),
        None if !unread.is_empty() => {
            let who = unread.join(" and ");
            let why = "who reads along was killed first, or the run was";
            (Ruling::Unknown, format!("what {who} wrote was not read to its end: {why}"))
        }
        None if lost.too_long > 0 => {
            let count = lost.too_long;
            (Ruling::Unknown, format!("too long to be read: {}{count} lines", at_least(all)))
        }
        None => (Ruling::Valid, "every line that was read was a message".to_owned()),
    };
    let message = format!("{message}{}", besides(&lost, all));
    let check = Check::new("protocol", ruling, message).fact("broken", broken);
    let check = check.fact("lines", breaking).fact("unread", unread);
    check.fact("killed_lives", lost.killed_lives).fact("dropped", lost.dropped)
}

/// Before a number of which a life that was not read to its end told nothing.
fn at_least(all: bool) -> &'static str {
    if all { "" } else { "at least " }
}

/// What changes no ruling.
fn besides(lost: &Unread, all: bool) -> String {
    let killed = (lost.killed_lives > 0)
        .then(|| format!(" ({} killed lives were not read to their end)", lost.killed_lives));
    let dropped = (lost.dropped > 0).then(|| {
        let number = format!("{}{}", at_least(all), lost.dropped);
        format!("; {number} messages were dropped because they were not taken in time")
    });
    [killed, dropped].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Observation;
    use history::{Header, History, Nanos, Order};
    use std::time::Duration;

    fn judge(nodes: &[(u64, bool, &[&str])]) -> (Ruling, String) {
        let unread = |end| Unread { end, ..Unread::default() };
        let nodes: Vec<_> =
            nodes.iter().map(|(broken, end, lines)| (*broken, unread(*end), *lines)).collect();
        judge_all(&nodes)
    }

    /// What is said of two nodes, of which so many, from the first on, have such a line: broken, unread, lines. The line is
    /// as it was read from a file.
    fn judge_all(nodes: &[(u64, Unread, &[&str])]) -> (Ruling, String) {
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
            .map(|written| {
                let line = serde_json::to_string(&written).unwrap();
                let read: Observation = serde_json::from_str(&line).unwrap();
                assert_eq!(read, written, "{line}");
                read
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
        let valid = "every line that was read was a message";
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

    #[test]
    fn what_did_not_come_through_is_told() {
        let none = Unread::default();
        let said =
            |unread, lines: &[&str], broken| judge_all(&[(broken, unread, lines), (0, none, &[])]);
        let valid = "every line that was read was a message";
        let killed = Unread { killed_lives: 2, ..none };
        let (ruling, message) = said(killed, &[], 0);
        assert_eq!(ruling, Ruling::Valid);
        assert_eq!(message, format!("{valid} (2 killed lives were not read to their end)"));
        let (ruling, message) = said(Unread { too_long: 3, ..none }, &[], 0);
        assert_eq!((ruling, message.as_str()), (Ruling::Unknown, "too long to be read: 3 lines"));
        let (ruling, message) = said(Unread { dropped: 4, ..none }, &[], 0);
        assert_eq!(ruling, Ruling::Valid);
        let dropped = "messages were dropped because they were not taken in time";
        assert_eq!(message, format!("{valid}; 4 {dropped}"));
        let (ruling, message) = said(Unread { dropped: 4, ..killed }, &["it is empty: ``"], 3);
        assert_eq!(ruling, Ruling::Invalid);
        let wrong =
            "n1: it is empty: ``, and at least 2 more (2 killed lives were not read to their end)";
        assert_eq!(message, format!("{wrong}; at least 4 {dropped}"));
    }
}
