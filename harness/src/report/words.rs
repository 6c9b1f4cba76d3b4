//! The page's sentences: the same words as the terminal, facts as observed, no guessed cause.

use super::load::Inputs;
use super::page::{Fact, Page};
use crate::verdict::{Check, OutcomeCounts, Ruling};

/// A named value.
pub(super) fn fact(name: &str, value: impl ToString) -> Fact {
    Fact { name: name.to_owned(), value: value.to_string() }
}

/// What was run.
pub(super) fn facts(inputs: &Inputs, workload: &str) -> Vec<Fact> {
    let mut facts = Vec::new();
    if !workload.is_empty() {
        facts.push(fact("workload", workload));
    }
    let header = inputs.history.as_ref().map(|history| &history.header);
    if let Some(plan) = &inputs.plan {
        let version = plan.version.iter().map(|version| format!(" {version}"));
        let system = match inputs.system.as_ref().filter(|name| **name != plan.system) {
            Some(name) => format!("{name} ({})", plan.system),
            None => plan.system.clone(),
        };
        facts.push(fact("system", system + &version.collect::<String>()));
        facts.push(fact("nodes", plan.nodes));
        let shared = plan.shared_network.iter();
        facts.extend(shared.map(|why| fact("network", format!("shared by the nodes: {why}"))));
        facts.push(fact("clients", plan.clients.total()));
        facts.push(fact("rate", format!("{} operations/s", plan.rate_per_second)));
        facts.push(fact("work", format!("{} s", plan.time.as_secs_f64())));
        let faults =
            if plan.faults.is_empty() { "none".to_owned() } else { plan.faults.join(", ") };
        facts.push(fact("faults", faults));
        facts.push(fact("seed", plan.seed));
        facts.extend(plan.bug.iter().map(|bug| fact("seeded bug", bug)));
        facts.extend(plan.slow_node.iter().map(|node| fact("slow node", node)));
        let every = plan.snapshot_every.iter();
        facts.extend(every.map(|entries| fact("snapshots", format!("every {entries} entries"))));
        facts.extend(plan.pre_vote.iter().map(|pre_vote| fact("pre-vote", pre_vote)));
    } else if let Some(seed) = header.and_then(|header| header.seed.as_ref()) {
        facts.push(fact("seed", seed));
    }
    facts.extend(header.and_then(|header| header.start.as_ref()).map(|at| fact("started", at)));
    facts
}

/// The ruling in one line.
pub(super) fn title(page: &Page) -> String {
    let keys: Vec<String> = page
        .violations
        .iter()
        .filter_map(|violation| violation.key.as_ref())
        .map(|key| format!("key {key}"))
        .collect();
    let about = match page.verdict {
        Ruling::Valid => "a correct system could have behaved so".to_owned(),
        Ruling::Unknown => "too little is known to say".to_owned(),
        Ruling::Error => "the run could not be judged".to_owned(),
        Ruling::Invalid if keys.is_empty() => "no correct system behaves so".to_owned(),
        Ruling::Invalid => format!("no correct system behaves so on {}", some(&keys)),
    };
    format!("{}: {about}", page.verdict.to_string().to_uppercase())
}

/// The first few of some names, and how many there are besides.
fn some(names: &[String]) -> String {
    match names.len() {
        0..=3 => names.join(", "),
        count => format!("{} and {} other keys", names[..2].join(", "), count - 2),
    }
}

/// What was seen.
pub(super) fn paragraph(page: &Page, provisional: bool) -> Vec<String> {
    let mut said = vec![recorded(page)];
    if provisional {
        said.push(
            "The harness ended before it could judge; `harness check` on this folder judges what was recorded."
                .to_owned(),
        );
    } else if page.checks.is_empty() {
        said.push("There is no verdict yet; `harness check` on this folder gives one.".to_owned());
    }
    match page.verdict {
        Ruling::Valid => said.push(
            "Every check passed. A run that is valid shows that nothing went wrong here, not that nothing can."
                .to_owned(),
        ),
        Ruling::Invalid => {
            if let Some(first) = page.violations.first() {
                said.extend(first.sentences.iter().cloned());
            }
            said.extend(messages(page, Ruling::Invalid, page.violations.is_empty()));
        }
        Ruling::Unknown | Ruling::Error => said.extend(messages(page, page.verdict, true)),
    }
    said
}

/// What the checks of one ruling say; those with violations only if `also_proven`.
fn messages(page: &Page, ruling: Ruling, also_proven: bool) -> Vec<String> {
    let told =
        |check: &&Check| check.verdict == ruling && (also_proven || check.violations.is_empty());
    page.checks.iter().filter(told).map(|c| format!("{}: {}.", c.name, c.message)).collect()
}

/// How much was recorded, and under which faults.
fn recorded(page: &Page) -> String {
    let total = page.counts.values().fold(OutcomeCounts::default(), |sum, count| OutcomeCounts {
        ok: sum.ok + count.ok,
        fail: sum.fail + count.fail,
        info: sum.info + count.info,
    });
    if total.total() == 0 {
        return "No operation was recorded.".to_owned();
    }
    let recorded = format!(
        "Clients recorded {} operations in {:.1} s: {} ok, {} fail (certainly did not happen), {} info (may or may not \
         have happened)",
        thousands(total.total()),
        page.end as f64 / 1e6,
        thousands(total.ok),
        thousands(total.fail),
        thousands(total.info),
    );
    match page.faults.len() {
        0 => format!("{recorded}. No fault was injected."),
        count => {
            let bit = page.faults.iter().filter(|fault| fault.effective == Some(true)).count();
            let word = if count == 1 { "fault was" } else { "faults were" };
            format!(
                "{recorded}. Meanwhile {count} {word} injected, of which {bit} demonstrably bit."
            )
        }
    }
}

/// `73,110`
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(73_110), "73,110");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
