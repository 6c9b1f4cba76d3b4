//! Many seeds, no violation, and proof that the runs were no picnic.

use cluster::bug::{Bug, Bugs};
use cluster::simulator::{
    Action, Facts, MS, Outcome, Plan, Promise, SECOND, Victim, episodes, shrink, simulate,
};

/// Runs seeds on two threads; returns the sum of what they went through.
fn run(seeds: std::ops::Range<u64>, nodes: u64) -> Facts {
    let (start, half) = (seeds.start, seeds.start.midpoint(seeds.end));
    let all = std::thread::scope(|scope| {
        let halves = [start..half, half..seeds.end].map(|seeds| {
            let sum = move |sum: Facts, seed| sum.plus(check(seed, nodes));
            scope.spawn(move || seeds.fold(Facts::default(), sum))
        });
        halves.map(|half| half.join().expect("every run is clean"))
    });
    all.into_iter().fold(Facts::default(), Facts::plus)
}

/// A short episode, so that there can be many.
fn short(seed: u64, nodes: u64) -> Plan {
    Plan { length: 20 * SECOND, ..Plan::new(seed, nodes) }
}

fn check(seed: u64, nodes: u64) -> Facts {
    let Outcome { violation, facts, reached, triggered, actions, broken, .. } =
        simulate(&short(seed, nodes));
    assert_eq!(violation, None, "seed {seed}, {nodes} nodes, {broken:?}, {actions:#?}");
    assert_eq!((reached, triggered), (0, 0), "a correct node has no marks");
    facts
}

fn witnesses(facts: &Facts, seeds: u64) {
    let leaders_change = facts.terms_led >= 3 * seeds;
    let work_is_done = facts.committed >= 500 * seeds && facts.reads_answered >= 400 * seeds;
    let crashes_are_survived =
        facts.crashes >= 4 * seeds && facts.committed_after_crash >= 300 * seeds;
    let logs_are_repaired = facts.truncations > seeds / 8 && facts.appends_rejected > seeds;
    let the_network_is_bad = facts.messages_lost >= 100 * seeds && facts.cuts >= seeds;
    let snapshots_travel =
        facts.snapshots_taken >= 20 * seeds && facts.snapshots_installed >= seeds;
    let members_change = facts.changes >= seeds / 5 && facts.joint >= seeds / 5;
    let the_rest_happens = [facts.reads_failed, facts.rejected, facts.batches_lost, facts.pauses];
    let the_rare_happens = [facts.transfers, facts.failed_syncs];
    assert!(snapshots_travel && members_change, "{facts:?}");
    assert!(the_rare_happens.iter().all(|number| *number > 0), "{facts:?}");
    assert!(leaders_change && work_is_done && crashes_are_survived, "{facts:?}");
    assert!(logs_are_repaired && the_network_is_bad, "{facts:?}");
    assert!(the_rest_happens.iter().all(|number| *number >= seeds / 4), "{facts:?}");
}

#[test]
fn three_nodes_keep_every_promise() {
    witnesses(&run(0..40, 3), 40);
}

#[test]
fn five_nodes_keep_every_promise() {
    witnesses(&run(1000..1030, 5), 30);
}

#[test]
fn one_two_and_seven_nodes_keep_every_promise() {
    assert!(run(2000..2004, 1).committed > 0);
    assert!(run(2000..2006, 2).committed > 0);
    assert!(run(2000..2004, 7).committed > 0);
}

/// Episodes in which a correct cluster takes longer than usual: before anything can be committed, a quorum must be
/// given hundreds of entries one by one, a round trip each.
#[test]
fn what_is_slow_is_not_taken_for_stuck() {
    let late = [(2, 5, 2_000_000, 2705)];
    for (seed, nodes, seconds, episode) in late {
        let plan = episodes(seed, nodes, seconds, Bugs::NONE).nth(episode);
        let plan = plan.expect("there are that many");
        assert_eq!(
            simulate(&plan).violation,
            None,
            "seed {seed}, {nodes} nodes, episode {episode}"
        );
    }
}

/// With leases, clocks that differ by as much as was declared, wall clocks that are set, and leaders that pause.
#[test]
fn with_leases_every_promise_is_kept() {
    let mut sum = Facts::default();
    for (seed, nodes) in (0..40).map(|seed| (seed, 3 + 2 * (seed % 2))) {
        let plan = Plan { leases: true, ..short(seed, nodes) };
        let Outcome { violation, facts, actions, .. } = simulate(&plan);
        assert_eq!(violation, None, "seed {seed}, {nodes} nodes, {actions:#?}");
        sum = sum.plus(facts);
    }
    let by_lease = sum.lease_reads >= 200 * 40 && sum.reads_answered > sum.lease_reads * 5 / 4;
    assert!(by_lease && sum.pauses >= 40 && sum.terms_led >= 3 * 40, "{sum:?}");
}

#[test]
fn a_seed_fixes_the_run() {
    let plan = short(7, 3);
    let first = simulate(&plan);
    assert_eq!(first, simulate(&plan));
    let told = simulate(&Plan { actions: Some(first.actions.clone()), ..plan.clone() });
    assert_eq!(first.digest, told.digest, "the actions it names are those it took");
    assert_ne!(first.digest, simulate(&short(8, 3)).digest);
    assert_ne!(first.digest, simulate(&Plan { episode: 1, ..plan }).digest);
}

#[test]
fn a_run_is_cut_into_equal_episodes() {
    let lengths = |seconds| -> Vec<u64> {
        episodes(1, 3, seconds, Bugs::NONE).map(|plan| plan.length / SECOND).collect()
    };
    assert_eq!(lengths(10), [10]);
    assert_eq!(lengths(150), [50, 50, 50]);
    assert_eq!(lengths(600), [60; 10]);
}

#[test]
fn a_trace_tells_the_last_steps() {
    let Outcome { trace, .. } = simulate(&Plan { trace: 50, ..short(3, 3) });
    assert_eq!(trace.len(), 50);
    assert!(trace.iter().any(|line| line.contains("Heartbeat")), "{trace:#?}");
}

/// Progress is asked for only once everything has healed, which also starts the nodes that are down.
#[test]
fn a_cluster_that_loses_its_majority_until_all_heals_keeps_the_promise_of_progress() {
    let crash = |node| Action::Crash { victim: Victim::Node(node), down: 3600 * SECOND };
    let plan = short(1, 3);
    let quiet = simulate(&Plan { actions: Some(Vec::new()), ..plan.clone() });
    assert_eq!((quiet.violation, quiet.facts.crashes <= 1), (None, true));
    let down = Plan { actions: Some(vec![(MS, crash(1)), (MS, crash(2))]), ..plan };
    let down = simulate(&down);
    assert_eq!((down.violation, down.facts.crashes >= 2), (None, true));
}

#[test]
fn a_cluster_that_is_stuck_by_a_bug_breaks_the_promise_of_progress() {
    let bugs = Bug::BacktrackStuck.into();
    let stuck = (0..6).filter_map(|seed| simulate(&Plan { bugs, ..short(seed, 3) }).violation);
    let promises: Vec<Promise> = stuck.map(|violation| violation.promise).collect();
    assert!(promises.contains(&Promise::Progress), "{promises:?}");
}

#[test]
fn a_failing_seed_shrinks_to_the_actions_it_needs() {
    let bugs = Bug::QuorumMinusOne.into();
    let failing = |seed| {
        let plan = Plan { bugs, ..short(seed, 5) };
        let outcome = simulate(&plan);
        outcome.violation.map(|violation| (plan, violation.promise, outcome.actions.len()))
    };
    let (plan, promise, before) = (0..20).find_map(failing).expect("a seed that fails");
    let same = |outcome: &Outcome| {
        outcome.violation.as_ref().is_some_and(|violation| violation.promise == promise)
    };
    let (small, outcome) = shrink(&plan, 60, same).expect("it fails again");
    let actions = small.actions.clone().expect("they are named");
    assert!(actions.len() < before, "{actions:?}");
    assert_eq!(simulate(&small), outcome, "what is left fails by itself");
    assert!(same(&outcome));
}

/// Two episodes in which a healthy follower with a slow disk is fed one entry at a time, long after all else is done:
/// a change of members cannot come to its end before, and who lags the most is not who moves.
#[test]
fn who_is_slow_is_not_stuck() {
    for (seed, seconds, episode) in [(1, 60_000, 218), (2, 500_000, 199)] {
        let plan = episodes(seed, 5, seconds, Bugs::NONE).nth(episode).expect("it is among them");
        assert_eq!(simulate(&plan).violation, None, "seed {seed}, episode {episode}");
    }
}
