//! One line for each event: a status word right-aligned in twelve columns, then the facts, then the
//! time since the start of the run.

use crate::duration::short;
use crate::event::{Beat, Event, Phase};
use history::NodeId;
use std::time::Duration;

/// Columns of the facts before the time.
const FACTS: usize = 60;
/// Columns of the bar of the live line.
const BAR: usize = 30;

/// The line an event leaves behind; none for those that only show live.
#[must_use]
pub fn line(event: &Event, at: Duration) -> Option<String> {
    let (word, facts, timed) = match event {
        Event::Planned { workload, system, nodes, clients, seed } => (
            "Planning",
            format!(
                "{workload} on {system} · {} · {} · seed {seed}",
                count(u64::from(*nodes), "node"),
                count(*clients as u64, "client")
            ),
            false,
        ),
        Event::SharedNetwork(why) => (
            "Sharing",
            format!("this machine's network; who calls whom is looked up (sock_diag): {why}"),
            false,
        ),
        Event::Omitted { fault, reason } => ("Omitting", format!("{fault}: {reason}"), false),
        Event::Started(_) => return None,
        Event::Deployed { nodes, links } => {
            ("Deploying", format!("{} · {}", names(nodes), count(*links as u64, "link")), true)
        }
        Event::Elected { leader, term } => {
            ("Electing", format!("{leader} leads term {term}"), true)
        }
        Event::Working { faults } if faults.is_empty() => {
            ("Working", "no faults".to_owned(), false)
        }
        Event::Working { faults } => ("Working", faults.join(", "), false),
        Event::Injected { fault, detail } => ("Fault", format!("{fault:<10} {detail}"), true),
        Event::Healed { fault, detail } => ("Healed", format!("{fault:<10} {detail}"), true),
        Event::Beat(beat) => ("Working", facts_of(beat), false),
        Event::Simulated { simulated, total, clusters } => {
            ("Simulating", played(*simulated, *total, *clusters), true)
        }
        Event::Warning(text) => ("Warning", text.clone(), false),
        Event::AllHealed { first_ok: None } => ("Healing", "all faults healed".to_owned(), true),
        Event::AllHealed { first_ok: Some(took) } => {
            ("Healing", format!("all faults healed, first ok after {}", short(*took)), true)
        }
        Event::FinalReads { ok, asked } => (
            "Reading",
            format!("every key through every node, {} of {} ok", thousands(*ok), thousands(*asked)),
            true,
        ),
        Event::Stopping => (
            "Stopping",
            "healing faults, then checking what was recorded (again to leave at once)".to_owned(),
            false,
        ),
        Event::Checking { .. } => return None,
        Event::Checked { took, operations, keys } => {
            return Some(timed_line("Checking", &what_is_checked(*operations, *keys), *took));
        }
    };
    Some(if timed { timed_line(word, &facts, at) } else { format!("{word:>12} {facts}") })
}

fn timed_line(word: &str, facts: &str, time: Duration) -> String {
    format!("{word:>12} {facts:<FACTS$} {:>8}", short(time))
}

/// The line an event shows until the next one, on a terminal.
#[must_use]
pub fn live(event: &Event, at: Duration) -> Option<String> {
    match event {
        Event::Started(phase) => {
            let word = match phase {
                Phase::Deploy => "Deploying",
                Phase::Elect => "Electing",
                Phase::Work => return None,
                Phase::Heal => "Healing",
                Phase::Settle => "Settling",
                Phase::FinalReads => "Reading",
                Phase::Stop => "Stopping",
                Phase::Check => "Checking",
                Phase::Report => "Reporting",
            };
            Some(timed_line(word, "…", at))
        }
        Event::Checking { operations, keys } => {
            Some(format!("{:>12} {} …", "Checking", what_is_checked(*operations, *keys)))
        }
        Event::Beat(beat) => {
            Some(format!("  {}  {}", bar(beat.elapsed, beat.total), facts_of(beat)))
        }
        Event::Simulated { simulated, total, clusters } => Some(format!(
            "  {}  {}",
            bar(*simulated, *total),
            played(*simulated, *total, *clusters)
        )),
        _ => None,
    }
}

fn played(simulated: Duration, total: Duration, clusters: u64) -> String {
    let (simulated, total) = (thousands(simulated.as_secs()), thousands(total.as_secs()));
    format!("{simulated} of {total} simulated seconds, {}", count(clusters, "cluster"))
}

fn bar(done: Duration, total: Duration) -> String {
    let share = done.as_secs_f64() / total.as_secs_f64().max(0.001);
    // Between 0 and BAR, so the cast loses nothing.
    let full = (share.clamp(0.0, 1.0) * BAR as f64) as usize;
    let head = if full < BAR { "╸" } else { "" };
    format!("{}{head}{}", "━".repeat(full), "─".repeat((BAR - full).saturating_sub(1)))
}

fn facts_of(beat: &Beat) -> String {
    let mut text = format!(
        "{:.0} s / {:.0} s   {} op/s",
        beat.elapsed.as_secs_f64(),
        beat.total.as_secs_f64(),
        thousands(beat.rate_per_second.round() as u64),
    );
    if let Some(p99) = beat.p99 {
        text.push_str(&format!("   p99 {}", short(p99)));
    }
    match beat.leader {
        Some(leader) => text.push_str(&format!("   {leader} leads term {}", beat.term)),
        None => text.push_str("   no leader"),
    }
    if !beat.faults.is_empty() {
        text.push_str(&format!("   fault: {}", beat.faults.join(", ")));
    }
    text
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
}

/// `73,110 operations · 64 keys`, and of a workload without keys the operations alone.
fn what_is_checked(operations: u64, keys: u64) -> String {
    let operations = count(operations, "operation");
    if keys == 0 { operations } else { format!("{operations} · {}", count(keys, "key")) }
}

/// `1 key`, `64 keys`, `73,110 operations`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// `73,110`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
