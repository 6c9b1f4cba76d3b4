//! Maelstrom nodes: a bridge alone, and whole runs with the nodes of `examples/`, correct and with bugs.
//!
//! Such a node is this very test program, started again by a script, because its own frame writes to standard output and a
//! Maelstrom node must not: the script gives the node another descriptor for its messages.

use crate::command::{Left, Place};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[expect(dead_code, reason = "as a program of its own it has a `main`")]
#[path = "../../examples/counter.rs"]
mod counter;
#[expect(dead_code, reason = "as a program of its own it has a `main`")]
#[path = "../../examples/gossip.rs"]
mod gossip;
#[expect(dead_code, reason = "as a program of its own it has a `main`")]
#[path = "../../examples/lin_kv.rs"]
mod lin_kv;

/// The variable that makes [`program`] a node, and holds its arguments.
const ARGUMENTS: &str = "MAELSTROM_TEST_ARGUMENTS";
/// The variable that says which node it is.
const WHICH: &str = "MAELSTROM_TEST_NODE";
/// Where such a node writes its messages.
const OUTPUT: &str = "/proc/self/fd/3";
/// The longest that a process of a test may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "a program for the tests here, not a test"]
fn program() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    let output = std::fs::File::options().write(true).open(OUTPUT).unwrap();
    let input = BufReader::new(std::io::stdin());
    let served = match std::env::var(WHICH).unwrap().as_str() {
        "counter" => counter::serve(&arguments, input, output),
        "gossip" => gossip::serve(&arguments, input, output),
        _ => lin_kv::serve(&arguments, input, output),
    };
    served.unwrap();
}

/// A file with this script in it.
fn script(place: &Place, name: &str, text: &str) -> PathBuf {
    place.file(name, format!("#!/bin/sh\n{text}\n"));
    let path = place.directory.path().join(name);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// The node of an example, as a program.
fn node(place: &Place, name: &str) {
    let own = std::env::current_exe().unwrap();
    let own = own.display();
    let words = "--exact maelstrom::program --include-ignored --nocapture --test-threads=1";
    let text =
        format!("exec 3>&1 >/dev/null\n{WHICH}={name} {ARGUMENTS}=\"$*\" exec '{own}' {words}");
    script(place, name, &text);
}

fn verdict(place: &Place) -> Value {
    serde_json::from_str(&place.read("results/latest/verdict.json")).unwrap()
}

fn check<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let found = verdict["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name}: {verdict:#}"))
}

fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let lines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let text =
            [line, environment].map(|text| String::from_utf8_lossy(&text).replace('\0', " "));
        Some(text.join(" ")).filter(|text| text.contains(&folder))
    });
    lines.collect()
}

fn left_behind(place: &Place) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        let left = processes_of(place.directory.path());
        if left.is_empty() || Instant::now() >= end {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_correct_node_survives_partitions_and_pauses() {
    let place = Place::new();
    node(&place, "lin_kv");
    let words = "run --system maelstrom --bin lin_kv --workload register --nodes 3 \
                 --faults partition,pause --time 6s --seed 3";
    let left = place.harness(words);
    let verdict = verdict(&place);
    assert!(matches!(left.code, 0 | 2), "{}: {verdict:#}", left.stderr);
    for (name, said) in
        [("linearizable", "valid"), ("crashes", "valid"), ("protocol", "valid"), ("power", "valid")]
    {
        assert_eq!(check(&verdict, name)["verdict"], said, "{verdict:#}");
    }
    let bit = |class: &str| verdict["coverage"]["faults"][class]["effective"].as_u64().unwrap();
    assert!(bit("partition") > 0 && bit("pause") > 0, "{verdict:#}");
    assert_eq!(left_behind(&place), Vec::<String>::new());
    // The same again from the files.
    let again = place.harness("check --json results/latest");
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(check(&again, "protocol"), check(&verdict, "protocol"));
}

#[test]
fn a_stale_read_is_found_and_a_stray_line_is_quoted_and_the_run_goes_on() {
    let place = Place::new();
    node(&place, "lin_kv");
    let words = "run --system maelstrom --bin lin_kv --workload register --nodes 3 \
                 --faults none --time 5s --seed 3 -- --stale --stray";
    let left = place.harness(words);
    let verdict = verdict(&place);
    assert_eq!(left.code, 1, "{}: {verdict:#}", left.stderr);
    assert_eq!(check(&verdict, "linearizable")["verdict"], "invalid", "{verdict:#}");
    let protocol = check(&verdict, "protocol");
    assert_eq!(protocol["verdict"], "invalid", "{verdict:#}");
    let message = protocol["message"].as_str().unwrap();
    assert!(message.contains("it is no JSON object: `debug: 100 messages written`"), "{message}");
    assert!(protocol["broken"].as_u64() > Some(3), "{message}");
    // Reading went on: every node answered the final reads, long after its first stray line.
    for name in ["crashes", "coverage", "power"] {
        assert_eq!(check(&verdict, name)["verdict"], "valid", "{verdict:#}");
    }
    let proof = place.harness("check results/latest/counterexample.jsonl");
    assert_eq!(proof.code, 1, "{}", proof.stdout);
}

/// A run of one workload, and what came of it: the exit code, its own check, and whether the rest was right.
fn run(place: &Place, workload: &str, words: &str) -> (i32, Value) {
    let words = format!("run --system maelstrom --workload {workload} --nodes 3 --seed 5 {words}");
    let left = place.harness(&words);
    let verdict = verdict(place);
    for name in ["crashes", "protocol", "power", "coverage"] {
        assert_eq!(check(&verdict, name)["verdict"], "valid", "{workload}: {verdict:#}");
    }
    // The same again from the files, whatever it was.
    let again = place.harness("check --json results/latest");
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["checks"], verdict["checks"], "{workload}");
    assert_eq!(left.code, again_code(&verdict), "{workload}: {}", left.stderr);
    (left.code, verdict["checks"][0].clone())
}

/// When the last operation was invoked that is no final read, and when the first that is one, since the start.
fn last_change_and_first_final_read(place: &Place) -> (Duration, Duration) {
    let history = place.read("results/latest/history.jsonl");
    let events = history.lines().skip(1).map(|line| serde_json::from_str(line).unwrap());
    let (mut last, mut first) = (Duration::ZERO, Duration::MAX);
    for event in events.filter(|event: &Value| event["type"] == "invoke") {
        let time = Duration::from_nanos(event["time"].as_u64().unwrap());
        match event["value"] == "final" {
            true => first = first.min(time),
            false => last = last.max(time),
        }
    }
    (last, first)
}

fn again_code(verdict: &Value) -> i32 {
    match verdict["verdict"].as_str() {
        Some("valid") => 0,
        Some("invalid") => 1,
        _ => 2,
    }
}

#[test]
fn nodes_that_do_what_maelstrom_asks_are_right_in_every_workload() {
    for (workload, bin, faults) in [
        ("unique-ids", "gossip", "pause --time 2s"),
        ("echo", "gossip", "none --time 2s"),
        ("broadcast", "gossip", "partition --time 3s"),
        ("pn-counter", "counter", "pause --time 3s"),
    ] {
        let place = Place::new();
        node(&place, bin);
        let (code, own) =
            run(&place, workload, &format!("--bin {bin} --rate 100 --faults {faults}"));
        assert_eq!((code, own["verdict"].as_str()), (0, Some("valid")), "{workload}: {own:#}");
        let quiet = workloads::by_name(workload).unwrap().quiet();
        let (asked, read) = last_change_and_first_final_read(&place);
        assert!(quiet.is_zero() || read - asked >= quiet, "{workload}: {read:?} after {asked:?}");
    }
}

#[test]
fn nodes_with_a_bug_are_found_in_every_workload() {
    for (workload, bin, name, bug, said) in [
        ("unique-ids", "gossip", "unique", "--short", "given before"),
        ("echo", "gossip", "echoed", "--mumble", "is not what was told"),
        ("g-set", "gossip", "complete", "--silent", "lost: acknowledged, and not there at the end"),
        ("g-counter", "counter", "sum", "--shared", "shows a wrong sum"),
    ] {
        let place = Place::new();
        node(&place, bin);
        let words = format!("--bin {bin} --rate 200 --faults none --time 2s -- {bug}");
        let (code, own) = run(&place, workload, &words);
        assert_eq!((code, own["name"].as_str()), (1, Some(name)), "{workload}: {own:#}");
        assert!(own["message"].as_str().unwrap().contains(said), "{own:#}");
        let proof = place.harness("check --json results/latest/counterexample.jsonl");
        assert_eq!(proof.code, 1, "{workload}: {}", proof.stdout);
        let proof: Value = serde_json::from_str(&proof.stdout).unwrap();
        let sentences = |check: &Value| check["violations"][0]["sentences"].clone();
        assert_eq!(sentences(&proof["checks"][0]), sentences(&own), "{workload}");
    }
}

/// A bridge of its own, in a process group of its own, with its output in pipes.
fn bridge(place: &Place, program: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["maelstrom", "--id=n1", "--nodes=1", "--ready-fd=1", "--token=f00d"]);
    command.arg(format!("--data={}", place.directory.path().join("data").display()));
    command.arg(format!("--bin={}", program.display())).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(mut child: Child) -> Left {
    let end = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "the bridge does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    Left::of(child.wait_with_output().unwrap())
}

const BEGIN: &str =
    r#"read line; echo '{"src":"n1","dest":"c0","body":{"type":"init_ok","in_reply_to":1}}'"#;

/// What a bridge writes into the log before and after it has read what its node writes.
const BEGUN: &str = "[f00d] what the node writes is read from here on\n";
const ENDED: &str =
    "[f00d] all that the node wrote was read: {\"broken\":0,\"too_long\":0,\"dropped\":0}\n";

fn by_itself(code: u8) -> String {
    format!("error: the node's program ended by itself (exit code {code})\n")
}

#[test]
fn a_node_that_ends_by_itself_ends_its_bridge_and_says_how() {
    let place = Place::new();
    let text = format!("{BEGIN}\necho 'out of luck' >&2\nexit 3");
    let left = ended(bridge(&place, &script(&place, "dies", &text)));
    assert_eq!(left.code, 255);
    assert_eq!(left.stderr, format!("{BEGUN}out of luck\n{ENDED}{}", by_itself(3)));
    let silent =
        ended(bridge(&place, &script(&place, "silent", "read line; printf '{\"src\"'; exit 0")));
    let said = "[f00d] not of the protocol: its last line has no end: `{\"src\"`\n";
    assert_eq!((silent.code, silent.stdout.as_str()), (255, ""));
    let ended = ENDED.replace("\"broken\":0", "\"broken\":1");
    assert_eq!(silent.stderr, format!("{BEGUN}{said}{ended}{}", by_itself(0)));
}

#[test]
fn a_node_that_refuses_to_begin_is_not_ready() {
    let place = Place::new();
    let text = BEGIN.replace("init_ok", "error").replace("1}}", "1,\"code\":13}}");
    let left = ended(bridge(&place, &script(&place, "refuses", &format!("{text}\nexec sleep 60"))));
    assert_eq!((left.code, left.stdout.as_str()), (255, ""));
    let said = format!("{BEGUN}error: the node did not begin: it answered `init` with {{");
    assert!(left.stderr.starts_with(&said), "{}", left.stderr);
    assert_eq!(left_behind(&place), Vec::<String>::new());
}

/// Where clients call, once it is ready.
fn client_address(bridge: &mut Child) -> String {
    let mut ready = String::new();
    let output = bridge.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut ready).unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    ready["client"].as_str().unwrap().to_owned()
}

/// Told to end, with its node.
fn stopped(bridge: Child) -> Left {
    use nix::sys::signal::{Signal, killpg};
    let group = nix::unistd::Pid::from_raw(i32::try_from(bridge.id()).unwrap());
    killpg(group, Signal::SIGTERM).unwrap();
    ended(bridge)
}

/// Its words would come back to it for ever; and those of the bridge accuse nobody from its pen.
#[test]
fn a_node_that_writes_back_what_it_reads_is_told_of_once() {
    let place = Place::new();
    let forged = "not of the protocol: me; [beef] not of the protocol: me";
    let text = format!("{BEGIN}\necho '{forged}' >&2\nexec cat");
    let mut child = bridge(&place, &script(&place, "echoes", &text));
    let mut client = std::net::TcpStream::connect(client_address(&mut child)).unwrap();
    client.write_all(b"{\"type\":\"read\",\"msg_id\":1,\"key\":1}\n").unwrap();
    let (log, lines) = std::sync::mpsc::channel();
    let errors = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|l| log.send(l)));
    let told = |line: &String| line.starts_with("[f00d] not of the protocol: ");
    let mut said = Vec::new();
    while !said.iter().any(told) {
        said.push(lines.recv_timeout(PATIENCE).unwrap());
    }
    assert_eq!(stopped(child).code, 0);
    said.extend(lines);
    assert_eq!(said.iter().filter(|line| told(line)).count(), 1, "{said:?}");
    let echo = "it is sent as `c1` to n1, and that is this node itself: \
                `{\"id\":1,\"src\":\"c1\",\"dest\":\"n1\",";
    assert!(said.iter().any(|line| line.contains(echo)), "{said:?}");
    assert!(said.iter().any(|line| line == forged), "{said:?}");
}

/// As when a run ends: the signal goes to both, and the node ends first, or never.
#[test]
fn a_bridge_and_its_node_stop_in_good_order() {
    let place = Place::new();
    let cases = [
        ("obeys", "exec sleep 60"),
        ("deaf", "trap '' TERM\nexec sleep 60"),
        // It was about to say something, which is no mistake.
        ("halfway", "printf '{\"src\"'\nexec sleep 60"),
    ];
    for (name, then) in cases {
        let mut child = bridge(&place, &script(&place, name, &format!("{BEGIN}\n{then}")));
        client_address(&mut child);
        let left = stopped(child);
        assert_eq!((left.code, left.stderr), (0, format!("{BEGUN}{ENDED}")), "{name}");
        assert_eq!(left_behind(&place), Vec::<String>::new(), "{name}");
    }
}
