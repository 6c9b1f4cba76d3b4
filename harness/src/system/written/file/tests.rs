//! What a file may say, and how each mistake in it is told.

use super::{Description, Survives, Version, parse};
use crate::system::written::command::Command;
use faults::Power;
use std::path::Path;
use std::time::Duration;

const LEAST: &str = r#"name = "tiny"
about = "one register"
start = ["node", "{data}"]
client = "exec client"
ports = { peers = [7000], client = 7001 }
"#;

fn read(text: &str) -> Result<Description, String> {
    parse(text, Path::new("/here"))
}

#[test]
fn five_words_are_a_system() {
    let said = read(LEAST).unwrap();
    assert_eq!((said.name.as_str(), said.about.as_str()), ("tiny", "one register"));
    assert_eq!(said.start, Command::Words(vec!["node".to_owned(), "{data}".to_owned()]));
    assert_eq!(said.client, Command::Line("exec client".to_owned()));
    assert_eq!((said.peer_ports, said.client_port), (vec![7000], 7001));
    assert_eq!((said.version, said.survives), (Version::Unsaid, Survives::Minority));
    assert_eq!(said.powers, [Power::Cut, Power::Kill, Power::Pause]);
    assert_eq!((said.recovery_limit, said.claims_recovery), (Duration::from_secs(30), false));
    assert_eq!(said.workloads, ["kv", "register"]);
    assert!(said.probe.is_none() && said.stop.is_none() && said.crashes.is_empty());
}

#[test]
fn the_other_words_say_more() {
    let said = read(&format!(
        r#"{LEAST}
        version = ["node", "--version"]
        needs = {{ node = "its-package" }}
        stop = ["kill", "-INT", "{{pid}}"]
        probe = ["role", "{{probe}}"]
        environment = {{ A = "b" }}
        powers = ["disk", "kill"]
        survives = 1
        recovery_limit = "1m"
        workloads = ["register"]
        crashes = ["PANIC"]
        "#
    ))
    .unwrap();
    assert!(matches!(said.version, Version::Command(_)));
    assert_eq!(said.needs["node"], "its-package");
    assert!(said.stop.is_some() && said.probe.is_some());
    assert_eq!(said.environment["A"], "b");
    assert_eq!(said.powers, [Power::Disk, Power::Kill]);
    assert_eq!((said.survives, said.recovery_limit), (Survives::Nodes(1), Duration::from_secs(60)));
    assert!(said.claims_recovery);
    assert_eq!((said.workloads, said.crashes), (vec!["register"], vec!["PANIC".to_owned()]));
}

/// Each with one line added to a file of five, or put in the place of one.
#[test]
fn every_mistake_is_told_with_its_line_and_what_was_expected() {
    let mut told = String::new();
    let mut tell = |line: &str, text: &str| {
        told.push_str(&format!("{line}\n    {}\n", read(text).unwrap_err()));
    };
    for line in [
        "colour = 1",
        "version = 7",
        "version = \" \"",
        "version = [\"v\", \"{node}\"]",
        "stop = []",
        "stop = \"\"",
        "probe = [\"p\", \"{pid}\"]",
        "environment = { HARNESS_X = \"1\" }",
        "environment = { A = 1 }",
        "powers = [\"clock\"]",
        "powers = \"kill\"",
        "survives = \"most\"",
        "survives = -1",
        "recovery_limit = \"soon\"",
        "recovery_limit = \"1h\"",
        "recovery_limit = 30",
        "recovery_limt = \"30s\"",
        "workloads = [\"queue\"]",
        "crashes = [\"\"]",
        "needs = [\"x\"]",
        "name = \"again\"",
        "start",
    ] {
        tell(line, &format!("{LEAST}{line}"));
    }
    let (others, ports) = LEAST.split_at(LEAST.find("ports").unwrap());
    assert!(ports.starts_with("ports"));
    for line in [
        "",
        "ports = 7",
        "ports = { peers = [], client = 1 }",
        "ports = { peers = [1, 1], client = 1 }",
        "ports = { peers = [1], client = 0 }",
        "ports = { peers = [70000], client = 1 }",
        "ports = { peers = [1], client = 70010 }",
        "ports = { peers = 1, client = 2 }",
        "ports = { peers = [1], client = 2, others = [3] }",
        "ports = { peers = [1] }",
    ] {
        tell(line, &format!("{others}{line}"));
    }
    for (word, other) in
        [("\"tiny\"", "\"Tiny\""), ("{data}", "{dat}"), ("\"one register\"", "\"\"")]
    {
        tell(&format!("{other} for {word}"), &LEAST.replace(word, other));
    }
    let expected = include_str!("mistakes.txt");
    assert!(told == expected, "testdata is not what is told now:\n{told}");
}

/// What is wrong only with this number of nodes.
#[test]
fn what_so_few_nodes_cannot_be_is_told_with_its_line() {
    let said = |more: &str| read(&format!("{LEAST}{more}")).unwrap();
    let named = said("probe = [\"p\", \"{address:n2}\", \"{address:n7}\"]");
    assert_eq!(named.check_nodes(7), Ok(()));
    let told = "line 6: `probe`: `{address:n7}` is of a node that there is not; with `--nodes 3` there are n1 to n3";
    assert_eq!(named.check_nodes(3).unwrap_err(), told);
    let alone = named.check_nodes(1).unwrap_err();
    assert!(alone.ends_with(
        "`{address:n2}` is of a node that there is not; with `--nodes 1` there is n1 alone"
    ));
    let survives = said("survives = 2");
    assert_eq!(survives.check_nodes(3), Ok(()));
    let told = "line 6: `survives`: with `--nodes 2` no more than 1 can be away and the others go on; 2 is more";
    assert_eq!(survives.check_nodes(2).unwrap_err(), told);
    assert_eq!(said("survives = 0").check_nodes(1), Ok(()));
    assert_eq!(said("").check_nodes(1), Ok(()), "a minority of one is nobody");
}
