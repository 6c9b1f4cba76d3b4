//! Revisions of the whole store never go back.
//!
//! A store that numbers its states says with each answer which state it was given in. If its answers are linearizable, so
//! are their revisions, whatever key they are about: an answer whose question was sent after another answer was read cannot be
//! from an older state; if it made a state, it made a newer one; and no two answers made the same. Each of these is a
//! proof by itself, exact and without a search, also where the values of no single key tell anything. That they all hold
//! proves nothing more.

use super::{Check, Ruling};
use crate::results::Revision;
use std::collections::BTreeMap;

/// How many contradictions are told.
const TOLD: usize = 10;

/// Whether the revisions can be those of one store that never goes back. Those of answers that may have met in time say
/// nothing about each other. With no revision at all it is unknown.
#[must_use]
pub fn revisions(revisions: &[Revision]) -> Check {
    let mut found: Vec<(&Revision, &Revision)> = backwards(revisions);
    found.extend(made_twice(revisions));
    found.sort_by_key(|(_, later)| later.end);
    let contradictions: Vec<String> =
        found.iter().take(TOLD).map(|(earlier, later)| told(earlier, later)).collect();
    let highest = revisions.iter().map(|one| one.revision).max().unwrap_or_default();
    let count = revisions.len();
    let (ruling, message) = match (contradictions.first(), found.len()) {
        (Some(first), 1) => (Ruling::Invalid, first.clone()),
        (Some(first), more) => (Ruling::Invalid, format!("{first}, and {} more", more - 1)),
        (None, _) if count == 0 => {
            (Ruling::Unknown, "no answer told of a revision, so nothing was seen".to_owned())
        }
        (None, _) => (
            Ruling::Valid,
            format!("none of {count} answers went back behind one read before, up to {highest}"),
        ),
    };
    Check::new("revisions", ruling, message)
        .fact("answers", count)
        .fact("highest", highest)
        .fact("contradictions", contradictions)
}

/// Answers with a lower revision than one that was read before they were asked for, or no higher one although they made
/// theirs; each with that one.
fn backwards(revisions: &[Revision]) -> Vec<(&Revision, &Revision)> {
    let mut asked: Vec<&Revision> = revisions.iter().collect();
    asked.sort_by_key(|one| one.begin);
    let mut read = asked.clone();
    read.sort_by_key(|one| one.end);
    let mut read = read.into_iter().peekable();
    let mut highest: Option<&Revision> = None;
    let mut found = Vec::new();
    for one in asked {
        while let Some(before) = read.next_if(|before| before.end < one.begin) {
            if highest.is_none_or(|highest| before.revision > highest.revision) {
                highest = Some(before);
            }
        }
        let least = |highest: &Revision| highest.revision + u64::from(one.wrote);
        if let Some(highest) = highest.filter(|highest| one.revision < least(highest)) {
            found.push((highest, one));
        }
    }
    found
}

/// Answers that say they made a revision that another one made.
fn made_twice(revisions: &[Revision]) -> Vec<(&Revision, &Revision)> {
    let mut makers: BTreeMap<u64, &Revision> = BTreeMap::new();
    let mut found = Vec::new();
    for one in revisions.iter().filter(|one| one.wrote) {
        match makers.get(&one.revision) {
            // One of the two began after the other had ended, and is told of as that.
            Some(first) if first.end < one.begin || one.end < first.begin => {}
            Some(first) => found.push((*first, one)),
            None => {
                makers.insert(one.revision, one);
            }
        }
    }
    found
}

fn told(earlier: &Revision, later: &Revision) -> String {
    let seconds = |one: &Revision| (one.begin.as_seconds(), one.end.as_seconds());
    let ((_, read), (asked, _)) = (seconds(earlier), seconds(later));
    let did = if later.wrote { "made" } else { "found" };
    format!(
        "{} {} through {}, asked at {asked:.6} s, {did} revision {}; {} {} through {} had {} {}, answered at {read:.6} s",
        later.f,
        later.key,
        later.node,
        later.revision,
        earlier.f,
        earlier.key,
        earlier.node,
        if earlier.wrote { "made" } else { "found" },
        earlier.revision,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::{Nanos, NodeId};

    fn read(begin: u64, end: u64, revision: u64) -> Revision {
        let (begin, end) = (Nanos(begin), Nanos(end));
        let (f, key) = ("read".to_owned(), "k1".to_owned());
        Revision { begin, end, node: NodeId(1), f, key, revision, wrote: false }
    }

    fn write(begin: u64, end: u64, revision: u64) -> Revision {
        let f = "write".to_owned();
        Revision { f, node: NodeId(2), wrote: true, ..read(begin, end, revision) }
    }

    fn ruling(given: &[Revision]) -> Ruling {
        let mut turned: Vec<Revision> = given.to_vec();
        turned.reverse();
        let check = revisions(given);
        assert_eq!(revisions(&turned).verdict, check.verdict, "the order of lines says nothing");
        check.verdict
    }

    #[test]
    fn a_read_after_an_answer_may_not_be_older() {
        let stale = [write(0, 1000, 7), read(2000, 3000, 6)];
        assert_eq!(ruling(&stale), Ruling::Invalid);
        let check = revisions(&stale);
        assert_eq!(
            check.message,
            "read k1 through n1, asked at 0.000002 s, found revision 6; write k1 through n2 had made 7, answered at 0.000001 s"
        );
        assert_eq!(check.facts["contradictions"].as_array().unwrap().len(), 1);
        assert_eq!(ruling(&[write(0, 10, 7), read(20, 30, 7)]), Ruling::Valid);
        assert_eq!(ruling(&[read(0, 10, 7), read(20, 30, 6)]), Ruling::Invalid, "also of reads");
    }

    #[test]
    fn answers_that_may_have_met_say_nothing_about_each_other() {
        for begin in [0, 9, 10] {
            assert_eq!(ruling(&[write(0, 10, 7), read(begin, 30, 6)]), Ruling::Valid, "{begin}");
        }
        assert_eq!(ruling(&[write(0, 10, 7), read(11, 30, 6)]), Ruling::Invalid);
    }

    #[test]
    fn the_highest_answer_counts_and_not_the_last() {
        let given = [write(0, 10, 9), read(0, 20, 5), read(30, 40, 7)];
        assert_eq!(ruling(&given), Ruling::Invalid);
    }

    #[test]
    fn what_makes_a_revision_makes_a_new_one() {
        assert_eq!(ruling(&[read(0, 10, 7), write(20, 30, 7)]), Ruling::Invalid);
        assert_eq!(ruling(&[read(0, 10, 7), write(20, 30, 8)]), Ruling::Valid);
        assert_eq!(ruling(&[write(0, 30, 8), write(10, 40, 8)]), Ruling::Invalid, "two at once");
        assert_eq!(ruling(&[read(0, 30, 8), write(10, 40, 8)]), Ruling::Valid, "read meanwhile");
        let twice = [write(0, 10, 8), write(20, 30, 8)];
        assert_eq!(revisions(&twice).facts["contradictions"].as_array().unwrap().len(), 1, "once");
    }

    #[test]
    fn nothing_seen_is_unknown_and_much_found_is_told_in_short() {
        assert_eq!(ruling(&[]), Ruling::Unknown);
        let many: Vec<Revision> = (0..40).map(|n| read(100 * n, 100 * n + 50, 100 - n)).collect();
        let check = revisions(&many);
        assert_eq!(check.facts["contradictions"].as_array().unwrap().len(), TOLD);
        assert!(check.message.ends_with(", and 38 more"), "{}", check.message);
    }
}
