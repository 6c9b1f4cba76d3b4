//! Clients that are programs of somebody else must keep to what was agreed.

use super::{Check, Facts, Ruling};
use crate::results::Observed;

/// What a line of the terminal has room for beside the name and the ruling of a check, in characters.
const LINE: usize = 80;
/// How much of that one line of a client may take.
const QUOTE: usize = 20;

/// Unknown if a client wrote what is no answer, or did not answer at all: what it said elsewhere is then worth less, too.
#[must_use]
pub fn clients(facts: &Facts<'_>) -> Check {
    let found = |observed: &Observed| match observed {
        Observed::Finding { node, text } => {
            let who = node.map_or("a client".to_owned(), |node| format!("a client of {node}"));
            Some(format!("{who}: {text}"))
        }
        _ => None,
    };
    let findings: Vec<String> =
        facts.observations.iter().filter_map(|one| found(&one.what)).collect();
    let Some(first) = findings.first() else {
        let message = "every client kept to one answer for each question";
        return Check::new("clients", Ruling::Valid, message);
    };
    let more = match findings.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let first = short(first, LINE - more.len());
    let mut check = Check::new("clients", Ruling::Unknown, format!("{first}{more}"));
    check.hints.push(
        "what clients wrote to their standard error is in clients.log; docs/your-system.md says what they may write"
            .to_owned(),
    );
    check.fact("findings", findings)
}

/// A finding in so many characters: without what was asked, and with the beginning of what was written. All of it is a fact
/// of the check.
fn short(finding: &str, room: usize) -> String {
    let told = finding.split("; it was asked `").next().unwrap_or(finding);
    let pieces = told.split('`').enumerate().map(|(number, piece)| {
        // Every other piece is one that was written.
        if number % 2 == 1 { cut(piece, QUOTE) } else { piece.to_owned() }
    });
    cut(&pieces.collect::<Vec<_>>().join("`"), room)
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Observation;
    use history::{Header, History, Nanos, NodeId, Order};
    use std::time::Duration;

    #[test]
    fn the_first_finding_is_quoted_and_the_others_are_counted() {
        let history = History::from_events(Header::new("kv"), Vec::new(), Order::Time).unwrap();
        let check = |findings: &[(Option<NodeId>, &str)]| {
            let observation = |(node, text): &(Option<NodeId>, &str)| Observation {
                time: Nanos(1),
                what: Observed::Finding { node: *node, text: (*text).to_owned() },
            };
            let observations: Vec<Observation> = findings.iter().map(observation).collect();
            clients(&Facts {
                requested: &[],
                nodes: 3,
                recovery_limit: Duration::ZERO,
                recovery_claimed: true,
                functions: &[],
                history: &history,
                injections: &[],
                observations: &observations,
            })
        };
        assert_eq!(check(&[]).verdict, Ruling::Valid);
        let one = check(&[(None, "it wrote `x`")]);
        assert_eq!(one.verdict, Ruling::Unknown);
        assert_eq!(one.message, "a client: it wrote `x`");
        let two = check(&[(Some(NodeId(2)), "it ended"), (None, "x")]);
        assert_eq!(two.message, "a client of n2: it ended (and 1 more)");
        assert_eq!(two.facts["findings"].as_array().unwrap().len(), 2);
        let long = format!("it wrote `{}`, which is not JSON; it was asked `x`", "a".repeat(150));
        let cut = check(&[(Some(NodeId(2)), &long), (None, "x")]);
        let a = "a".repeat(19);
        let told = format!("a client of n2: it wrote `{a}…`, which is not JSON (and 1 more)");
        assert_eq!(cut.message, told);
        assert_eq!(cut.facts["findings"][0], format!("a client of n2: {long}"));
        let endless = check(&[(None, &"b".repeat(500)), (None, "x")]).message;
        assert!(endless.chars().count() == LINE && endless.ends_with("b… (and 1 more)"));
    }
}
