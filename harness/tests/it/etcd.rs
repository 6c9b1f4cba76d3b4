//! Unmodified etcd under the harness: short runs on real members, skipped where there is no etcd.

use crate::command::{Left, Place};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether etcd can be run here; says so if not.
fn there_is_etcd() -> bool {
    let Err(error) = Command::new("etcd").arg("--version").stdout(Stdio::null()).status() else {
        return true;
    };
    writeln!(std::io::stderr().lock(), "skipped: etcd: {error}").unwrap();
    false
}

fn value(place: &Place, file: &str) -> Value {
    serde_json::from_str(&place.read(&format!("results/latest/{file}"))).unwrap()
}

fn check<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{verdict:#}"))
}

#[test]
fn without_etcd_the_run_is_refused_with_what_to_install() {
    let place = Place::new();
    let Left { code, stderr, .. } = place.harness("run --system etcd --bin ./nothing-of-the-name");
    assert_eq!(code, 254, "{stderr}");
    assert!(stderr.contains("nothing-of-the-name`"), "{stderr}");
    assert!(stderr.contains("apt-get install etcd-server"), "{stderr}");
    assert!(!place.directory.path().join("results").exists());
    let bad = place.harness("run --system etcd --bin etcd --election 300ms");
    let refused = if there_is_etcd() { "at least 5 heartbeats" } else { "" };
    assert!(bad.code == 254 && bad.stderr.contains(refused), "{}", bad.stderr);
}

/// The revisions are judged from their file: one that is made to go back is found by `check`.
#[test]
fn etcd_survives_and_its_revisions_are_judged_from_disk() {
    if !there_is_etcd() {
        return;
    }
    let place = Place::new();
    let left = place.harness(
        "run --system etcd --nodes 3 --faults kill,pause,partition --time 6s --rate 200 --seed 5",
    );
    // A machine that is busy with other things may make it unknown, and nothing more.
    assert!(matches!(left.code, 0 | 2), "{} {}", left.stdout, left.stderr);
    let (verdict, plan) = (value(&place, "verdict.json"), value(&place, "plan.json"));
    for name in ["linearizable", "crashes", "revisions"] {
        assert_eq!(check(&verdict, name)["verdict"], "valid", "{verdict:#}");
    }
    assert!(check(&verdict, "revisions")["answers"].as_u64() > Some(100), "{verdict:#}");
    assert!(plan["version"].as_str().unwrap().starts_with("3."), "{plan}");
    assert_eq!((&plan["pre_vote"], &plan["election"]), (&Value::Bool(true), &"1s".into()));
    assert!(place.read("results/latest/nodes/n1/log").contains("\"pre-vote\":true"), "{plan}");

    let told = place.read("results/latest/revisions.jsonl");
    let last = told.lines().last().unwrap();
    let mut stale: Value = serde_json::from_str(last).unwrap();
    stale["revision"] = 2.into();
    let forged = format!("{}\n{stale}\n", told.trim_end().strip_suffix(last).unwrap().trim_end());
    std::fs::write(place.directory.path().join("results/latest/revisions.jsonl"), forged).unwrap();
    let again = place.harness("check results/latest");
    assert_eq!(again.code, 1, "{}", again.stdout);
    assert!(again.stdout.contains("found revision 2; "), "{}", again.stdout);
}

/// Where nobody can have a network namespace, members share a network, and whose a connection is has to be found out.
#[test]
fn etcd_survives_where_namespaces_are_forbidden() {
    if !there_is_etcd() {
        return;
    }
    let place = Place::new();
    let left = place.harness_without_namespaces(
        "run --system etcd --nodes 3 --faults kill,pause,partition --time 6s --rate 200 --seed 5",
    );
    assert!(matches!(left.code, 0 | 2), "{} {}", left.stdout, left.stderr);
    let (verdict, plan) = (value(&place, "verdict.json"), value(&place, "plan.json"));
    for name in ["linearizable", "crashes", "revisions"] {
        assert_eq!(check(&verdict, name)["verdict"], "valid", "{verdict:#}");
    }
    let why = plan["shared_network"].as_str().unwrap();
    assert!(why.contains(" is not possible here ("), "{why}");
    let told =
        format!("Sharing this machine's network; who calls whom is looked up (sock_diag): {why}");
    assert!(left.stderr.contains(&told), "{}", left.stderr);
    assert!(place.read("results/latest/report.html").contains("shared by the nodes: "));
    // One proxy for all who call a member, and the member is elsewhere.
    let deployment = value(&place, "deployment.json");
    let of = |node: &str| deployment["nodes"][node]["peer_proxies"]["n3"].clone();
    assert!(
        of("n1") == of("n2") && of("n1").as_str().unwrap().ends_with(".3:2380"),
        "{deployment:#}"
    );
    assert_ne!(of("n1"), deployment["nodes"]["n3"]["addresses"]["peer"]);
    let cluster = place.read("results/latest/cluster.jsonl");
    let audits = cluster.lines().filter(|line| line.contains("\"callers\""));
    let audits: Vec<Value> = audits.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(audits.len() >= 2, "{cluster}");
    let last = &audits[audits.len() - 1]["callers"];
    assert!(last["found"].as_u64() >= Some(12) && last["p99_us"].as_u64() > Some(0), "{last}");
    let receipts = place.read("results/latest/faults.jsonl");
    let cuts: Vec<&str> = receipts.lines().filter(|line| line.contains("\"partition\"")).collect();
    assert!(!cuts.is_empty(), "{receipts}");
    for cut in cuts {
        assert!(cut.contains("\"effective\":true") && cut.contains("nothing crossed "), "{cut}");
    }
}

#[test]
fn a_member_that_ends_by_itself_is_found_and_another_version_is_told() {
    if !there_is_etcd() {
        return;
    }
    let place = Place::new();
    let script = "#!/bin/sh\ncase $1 in --version) echo 'etcd Version: 9.8.7';; *) exec etcd \"$@\";; esac\n";
    place.file("renamed", script);
    let path = place.directory.path().join("renamed");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let words =
        "run --system etcd --bin ./renamed --nodes 3 --faults none --time 4s --rate 100 --seed 7";
    let left = std::thread::scope(|scope| {
        let run = scope.spawn(|| place.harness(words));
        let history = place.directory.path().join("results/latest/history.jsonl");
        let end = Instant::now() + Duration::from_secs(30);
        while !std::fs::read_to_string(&history).is_ok_and(|text| text.contains("\"ok\"")) {
            assert!(Instant::now() < end && !run.is_finished(), "no operation was ever answered");
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = value(&place, "deployment.json")["nodes"]["n2"]["pid"].as_i64().unwrap();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        run.join().unwrap()
    });
    assert_eq!(left.code, 1, "{} {}", left.stdout, left.stderr);
    let (verdict, plan) = (value(&place, "verdict.json"), value(&place, "plan.json"));
    let crashes = check(&verdict, "crashes");
    assert_eq!(crashes["verdict"], "invalid");
    let said = crashes["message"].as_str().unwrap();
    assert!(said.starts_with("n2 ended by itself at ") && said.contains("(SIGKILL): {"), "{said}");
    let cluster = place.read("results/latest/cluster.jsonl");
    let exit = cluster.lines().find(|line| line.contains("\"unexplained\"")).unwrap();
    let own = value(&place, "deployment.json")["nodes"]["n2"]["addresses"]["client"].clone();
    assert!(exit.contains(own.as_str().unwrap()), "the end of its log: {exit}");
    assert_eq!(plan["version"], "9.8.7");
    let warning = plan["warning"].as_str().unwrap();
    assert!(warning.starts_with("etcd 9.8.7 is none of the versions whose errors were read"));
    assert!(left.stderr.contains(warning), "{}", left.stderr);
    let told = check(&verdict, "linearizable")["warnings"].as_array().unwrap();
    assert!(told.contains(&plan["warning"]), "{verdict:#}");
}
