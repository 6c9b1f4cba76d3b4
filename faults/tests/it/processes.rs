//! Crashes, starved nodes and clocks against a fake environment: what is asked of it, in which order, and when a
//! fault counts.

use crate::stage::Stage;
use faults::clock::{ClockReading, Skew};
use faults::{
    BoxFuture, Budget, Clocks, Entry, Environment, EnvironmentError, Load, Nemesis, Network,
    Played, Processors, Ration, Receipt, Schedule, Settings, Sighting, Target, Trigger, Use,
    registry, schedule,
};
use history::{Nanos, NodeId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A stage whose nodes have clocks of their own and can be starved.
struct Hands {
    stage: Stage,
    start: Instant,
    deeds: Mutex<Vec<String>>,
    readings: Mutex<BTreeMap<NodeId, ClockReading>>,
    skews: Mutex<BTreeMap<NodeId, Skew>>,
    rations: Mutex<BTreeMap<NodeId, Ration>>,
    /// Whether nodes ask for the time, and stop when it is their turn.
    obedient: bool,
    /// How long after its start a node serves.
    recovery: Duration,
}

impl Hands {
    fn new(nodes: u16, obedient: bool) -> Self {
        let stage = Stage::new(nodes);
        stage.lead(2);
        Self {
            stage,
            start: Instant::now(),
            deeds: Mutex::default(),
            readings: Mutex::default(),
            skews: Mutex::default(),
            rations: Mutex::default(),
            obedient,
            recovery: Duration::ZERO,
        }
    }

    fn note(&self, deed: String) {
        let time = self.start.elapsed().as_millis();
        self.deeds.lock().unwrap().push(format!("{time} {deed}"));
    }

    fn deeds(&self) -> String {
        self.deeds.lock().unwrap().join("\n")
    }
}

impl Environment for Hands {
    fn nodes(&self) -> Vec<NodeId> {
        self.stage.nodes()
    }
    fn leader(&self) -> Option<NodeId> {
        self.stage.leader()
    }
    fn leader_changes(&self) -> u64 {
        self.stage.leader_changes()
    }
    fn now(&self) -> Nanos {
        self.stage.now()
    }
    fn network(&self) -> &dyn Network {
        &self.stage
    }
    fn kill(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.stage.kill(node)
    }
    fn restart(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        Box::pin(async move {
            let sighting = self.stage.restart(node).await?;
            if self.recovery.is_zero() {
                return Ok(sighting);
            }
            sleep(self.recovery).await;
            let died = self.stage.seen.lock().unwrap().down.contains(&node);
            let error = || EnvironmentError("it exited before it was ready".to_owned());
            (!died).then_some(sighting).ok_or_else(error)
        })
    }
    fn pause(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.stage.pause(node)
    }
    fn resume(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.stage.resume(node)
    }
    fn clocks(&self) -> Option<&dyn Clocks> {
        Some(self)
    }
    fn processors(&self) -> Option<&dyn Processors> {
        Some(self)
    }
    fn record(&self, fault: &str, value: Value) {
        self.stage.record(fault, value);
    }
    fn receipt(&self, receipt: &Receipt) {
        self.stage.receipt(receipt);
    }
    fn release(&self, paused: &[NodeId]) {
        Environment::release(&self.stage, paused);
        self.note(format!("release {paused:?}"));
    }
}

impl Clocks for Hands {
    fn set(&self, node: NodeId, skew: Skew) -> Result<(), EnvironmentError> {
        self.note(format!("{node} {:+} ms {:+} ppm", skew.step_ms, skew.rate_ppm));
        self.skews.lock().unwrap().insert(node, skew);
        let mut readings = self.readings.lock().unwrap();
        let reading = readings.entry(node).or_default();
        // Each node is told the time ten times under each skew.
        if self.obedient && skew != Skew::default() {
            reading.wall_off += 10;
            reading.steady_off += if skew.rate_ppm == 0 { 0 } else { 10 };
            reading.steady_ahead_ns += i64::from(skew.rate_ppm) * 1000;
        }
        Ok(())
    }

    fn reading(&self, node: NodeId) -> Result<ClockReading, EnvironmentError> {
        Ok(self.readings.lock().unwrap().get(&node).copied().unwrap_or_default())
    }
}

impl Processors for Hands {
    fn ration(
        &self,
        node: NodeId,
        ration: Option<Ration>,
    ) -> BoxFuture<'_, Result<(), EnvironmentError>> {
        Box::pin(async move {
            let mut rations = self.rations.lock().unwrap();
            match ration {
                Some(Ration { run_ms, stop_ms }) => {
                    self.note(format!("{node} runs {run_ms} ms, stops {stop_ms} ms"));
                    rations.insert(node, Ration { run_ms, stop_ms });
                }
                None => {
                    self.note(format!("{node} runs"));
                    rations.remove(&node);
                }
            }
            Ok(())
        })
    }

    fn look(&self, node: NodeId) -> BoxFuture<'_, Result<Use, EnvironmentError>> {
        Box::pin(async move {
            let now = u64::try_from(self.start.elapsed().as_millis()).unwrap();
            let rations = self.rations.lock().unwrap();
            let stopped = |ration: &Ration| now % 100 >= ration.run_ms;
            let stopped = self.obedient && rations.get(&node).is_some_and(stopped);
            Ok(Use { pid: 7, cpu_ms: now, stopped })
        })
    }
}

fn entry(fault: &str, target: Target, milliseconds: u64, how: Value) -> Entry {
    Entry {
        id: 1,
        fault: fault.to_owned(),
        trigger: Trigger::At { time: Duration::from_millis(100) },
        duration: Duration::from_millis(milliseconds),
        target,
        shape: None,
        heal: None,
        how,
        seed: 3,
    }
}

async fn play(hands: &Hands, entry: Entry) -> Receipt {
    let schedule = Schedule { entries: vec![entry] };
    let mut played = Nemesis::play(&schedule, hands, pending()).await;
    assert_eq!(played.unhealed, []);
    played.receipts.pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn all_nodes_crash_at_once() {
    let hands = Hands::new(3, true);
    let receipt = play(&hands, entry("crash", Target::All, 500, json!({"kind": "together"}))).await;
    let golden = "    0 n2 leads
  100 start crash 1
  110 kill n1
  110 kill n2
  110 kill n3
  620 restart n1
  620 restart n2
  620 restart n3
  620 end crash 1
  620 hold []";
    assert_eq!(hands.stage.log_text(), golden);
    assert!(receipt.effective, "{receipt:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_has_one_node_down_at_a_time() {
    let hands = Hands::new(3, true);
    let receipt = play(&hands, entry("crash", Target::All, 600, json!({"kind": "rolling"}))).await;
    assert!(receipt.effective, "{receipt:?}");
    let seen = hands.stage.seen.lock().unwrap();
    assert_eq!(seen.most_down, 1);
    let deeds = |verb: &str| seen.log.iter().filter(|line| line.contains(verb)).count();
    assert_eq!((deeds("kill n"), deeds("restart n")), (3, 6), "each, and all looked at again");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_that_is_stopped_brings_its_node_back_and_counts_for_nothing() {
    let hands = Hands::new(5, true);
    let crash = entry("crash", Target::All, 5000, json!({"kind": "rolling"}));
    let schedule = Schedule { entries: vec![crash] };
    let stop = sleep(Duration::from_millis(1300));
    let Played { receipts, unhealed } = Nemesis::play(&schedule, &hands, stop).await;
    assert_eq!(unhealed, []);
    assert!(!receipts[0].effective);
    assert!(receipts[0].reason.contains("was to die 1 times and did 0 times"), "{receipts:?}");
    assert!(receipts[0].healed.unwrap().as_seconds() < 1.4);
    assert!(hands.stage.seen.lock().unwrap().down.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_loop_kills_again_what_has_just_been_started() {
    let served = Hands::new(3, true);
    let how = json!({"kind": "loop", "times": 4});
    let receipt = play(&served, entry("crash", Target::Leader, 1200, how)).await;
    assert!(!receipt.effective, "each served before it was killed: {receipt:?}");
    let hands = Hands { recovery: Duration::from_millis(30), ..Hands::new(3, true) };
    let how = json!({"kind": "loop", "times": 4});
    let receipt = play(&hands, entry("crash", Target::Leader, 1200, how)).await;
    assert!(receipt.effective, "{receipt:?}");
    let seen = hands.stage.seen.lock().unwrap();
    let kills = seen.log.iter().filter(|line| line.contains("kill n2")).count();
    assert_eq!(kills, 4);
    let killed = receipt.evidence["killed"].as_array().unwrap();
    let pids: Vec<u64> = killed.iter().map(|dead| dead["pid"].as_u64().unwrap()).collect();
    assert_eq!(pids, [200, 201, 202, 203], "a new process each time");
    assert!(seen.down.is_empty());
}

/// The end is told all the same, and the node is named.
#[tokio::test(start_paused = true)]
async fn a_crash_after_which_a_node_does_not_come_back_is_not_healed() {
    let hands = Hands::new(3, true);
    hands.stage.fail("restart", 100);
    let crash = entry("crash", Target::Leader, 300, json!({"kind": "together"}));
    let played = Nemesis::play(&Schedule { entries: vec![crash] }, &hands, pending()).await;
    assert_eq!(played.unhealed.len(), 1);
    assert!(!played.receipts[0].effective);
}

#[tokio::test(start_paused = true)]
async fn a_starved_node_is_watched_and_then_runs() {
    for (obedient, effective) in [(true, true), (false, false)] {
        let hands = Hands::new(3, obedient);
        let how = json!({"run_percent": 20});
        let receipt = play(&hands, entry("starve", Target::Leader, 1000, how)).await;
        assert_eq!(receipt.effective, effective, "{receipt:?}");
        let deeds = hands.deeds();
        assert!(deeds.starts_with("100 n2 runs 20 ms, stops 80 ms"), "{deeds}");
        assert!(deeds.ends_with("n2 runs"), "{deeds}");
        assert!(hands.rations.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_counts_only_if_its_node_was_told_another_time() {
    for how in [json!({"step_ms": -5000}), json!({"rate_ppm": 40000}), json!({"rate_ppm": -40000})]
    {
        for obedient in [true, false] {
            let hands = Hands::new(3, obedient);
            let receipt = play(&hands, entry("clock", Target::Leader, 1000, how.clone())).await;
            assert_eq!(receipt.effective, obedient, "{receipt:?}");
            let healed = hands.skews.lock().unwrap().get(&NodeId(2)).copied();
            assert_eq!(healed, Some(Skew::default()), "{how}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_strobe_goes_to_and_fro() {
    let hands = Hands::new(3, true);
    let how = json!({"step_ms": -5000, "strobe_ms": 300});
    let receipt = play(&hands, entry("clock", Target::Leader, 1000, how)).await;
    let golden = "100 n2 -5000 ms +0 ppm
400 n2 +0 ms +0 ppm
700 n2 -5000 ms +0 ppm
1000 n2 +0 ms +0 ppm
1100 n2 +0 ms +0 ppm";
    assert_eq!(hands.deeds(), golden);
    assert!(receipt.effective);
}

/// A run that is abandoned leaves no node starved.
#[tokio::test(start_paused = true)]
async fn what_is_in_effect_is_released_when_the_nemesis_is_dropped() {
    let hands = Hands::new(3, true);
    let starve = entry("starve", Target::Leader, 5000, json!({"run_percent": 20}));
    let schedule = Schedule { entries: vec![starve] };
    let playing = Nemesis::play(&schedule, &hands, pending());
    assert!(tokio::time::timeout(Duration::from_secs(1), playing).await.is_err());
    assert!(hands.deeds().ends_with("release [NodeId(2)]"), "{}", hands.deeds());
}

#[test]
fn what_is_asked_beyond_the_claims_is_refused() {
    let least = Budget { drift_ppm: 200, wall_steps: false, crash: 2, ..Budget::majority(5) };
    let most = Budget::majority(5);
    let together = json!({"kind": "together"});
    for (fault, target, how, budget, said) in [
        ("clock", Target::One, json!({"step_ms": 5}), most, ""),
        ("clock", Target::One, json!({"rate_ppm": -50_000}), most, ""),
        ("clock", Target::One, json!({"rate_ppm": 50_001}), most, "claims to survive 50000"),
        ("clock", Target::One, json!({"rate_ppm": 201}), least, "claims to survive 200"),
        ("clock", Target::One, json!({"step_ms": 5}), least, "does not claim to survive a wall"),
        ("clock", Target::One, json!({"strobe_ms": 50}), most, "needs a `step_ms` or"),
        ("clock", Target::One, json!({"step_ms": 5, "strobe_ms": 1}), most, "at least 20"),
        ("clock", Target::One, json!({"step_ms": i64::MIN}), most, "more than a year"),
        ("clock", Target::One, json!({"setp_ms": 5}), most, "unknown field"),
        ("clock", Target::One, Value::Null, most, "the `how` of a clock"),
        ("crash", Target::All, together.clone(), most, ""),
        ("crash", Target::All, together, least, "5 nodes crash at once"),
        ("crash", Target::One, json!({"kind": "loop"}), most, "a loop needs `times`"),
        ("crash", Target::One, json!({"kind": "loop", "times": 3}), most, ""),
        ("crash", Target::All, json!({"kind": "rolling", "times": 3}), most, "only a loop"),
        ("crash", Target::All, json!({"kind": "twice"}), most, "unknown variant"),
        ("starve", Target::One, json!({"run_percent": 1}), most, ""),
        ("starve", Target::One, json!({"run_percent": 100}), most, "not of 1 to 99"),
    ] {
        let entry = entry(fault, target, 500, how);
        let checked = registry::by_name(fault).unwrap().check(&entry, 5, &budget);
        let right = match &checked {
            Ok(()) => said.is_empty(),
            Err(error) => !said.is_empty() && error.contains(said),
        };
        assert!(right, "{fault} {}: {checked:?}", entry.how);
    }
}

/// What is drawn can be played: it is within the budget of the one it is drawn for, alone and beside others.
#[test]
fn what_is_drawn_is_within_the_claims() {
    let all = ["partition", "kill", "crash", "starve", "clock"];
    let mut kinds = BTreeMap::<String, u32>::new();
    for seed in 0..300 {
        for nodes in [3, 5] {
            let mut settings = Settings::new(&all, nodes, Duration::from_secs(60), seed);
            settings.budget.drift_ppm = if seed % 2 == 0 { 50_000 } else { 100 };
            settings.budget.wall_steps = seed % 3 > 0;
            let drawn = schedule(&settings).unwrap();
            for entry in &drawn.entries {
                let fault = registry::by_name(&entry.fault).unwrap();
                assert_eq!(fault.check(entry, nodes, &settings.budget), Ok(()), "{entry:?}");
                let load = fault.load(entry, nodes, &settings.budget);
                let beside = drawn.entries.iter().filter(|other| {
                    other.id != entry.id
                        && other.trigger.earliest() < entry.latest_end()
                        && entry.trigger.earliest() < other.latest_end()
                });
                let beside = beside.count();
                assert!(load != Load::Outage || beside == 0, "seed {seed}: {entry:?}");
                let fields =
                    entry.how.as_object().into_iter().flatten().map(|(name, how)| {
                        how.as_str().map_or_else(|| name.clone(), str::to_owned)
                    });
                fields.for_each(|field| *kinds.entry(field).or_default() += 1);
            }
        }
    }
    for kind in ["together", "rolling", "loop", "run_percent", "step_ms", "strobe_ms", "rate_ppm"] {
        assert!(kinds.get(kind).is_some_and(|count| *count > 300), "{kind}: {kinds:?}");
    }
}

#[test]
fn a_system_that_relies_on_every_clock_gets_no_clock_fault() {
    let mut settings = Settings::new(&["clock"], 5, Duration::from_secs(30), 1);
    settings.budget = Budget { drift_ppm: 0, wall_steps: false, ..settings.budget };
    let error = schedule(&settings).unwrap_err().to_string();
    assert_eq!(error, "`clock` cannot bite: the system claims to survive no error of a clock");
}

/// A leader is cut off and then, at once, its wall clock goes back: often enough that a run of two minutes sees many of it.
#[test]
fn clocks_are_off_when_leaders_are_cut_off() {
    let mut together = 0;
    for seed in 0..100 {
        let settings = Settings::new(&["clock", "partition"], 5, Duration::from_secs(120), seed);
        let drawn = schedule(&settings).unwrap();
        let of = |class: &'static str| {
            let leader =
                move |entry: &&Entry| entry.fault == class && entry.target == Target::Leader;
            drawn.entries.iter().filter(leader)
        };
        let back = |clock: &&Entry| clock.how["step_ms"].as_i64().is_some_and(|ms| ms <= -500);
        let joined = of("clock").filter(back).filter(|clock| {
            let begin = |entry: &Entry| match entry.trigger {
                Trigger::At { time } => time,
                Trigger::OnLeaderChange { armed, after, .. } => armed + after,
            };
            let since = |cut: &Entry| begin(clock).checked_sub(begin(cut));
            let at_once = |since: Duration| since <= Duration::from_millis(150);
            of("partition").any(|cut| since(cut).is_some_and(at_once))
        });
        together += joined.count();
    }
    assert!(together >= 100 * 7, "{together} in 100 runs");
}
