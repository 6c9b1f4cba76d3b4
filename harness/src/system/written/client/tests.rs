//! Clients that keep to what was agreed, and each way of not doing so: small programs of the shell.

use super::ChildClient;
use crate::system::{ClientNotes, ClientSettings, Finding, NodeCommand, Route};
use history::NodeId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use workloads::{ClientError, ErrorClass, KvAnswer, KvClient, KvOperation};

/// Longer than anything here takes that is not meant to last.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Notes {
    findings: Mutex<Vec<String>>,
    answers: Mutex<usize>,
    said: Mutex<Vec<u8>>,
}

impl ClientNotes for Notes {
    fn finding(&self, finding: Finding) {
        self.findings.lock().unwrap().push(finding.text);
    }

    fn answered(&self) {
        *self.answers.lock().unwrap() += 1;
    }

    fn said(&self, bytes: &[u8]) {
        self.said.lock().unwrap().extend_from_slice(bytes);
    }
}

impl Notes {
    fn findings(&self) -> Vec<String> {
        self.findings.lock().unwrap().clone()
    }
}

/// A client whose program is this line of the shell.
fn client(line: &str, route: Route) -> (ChildClient, Arc<Notes>) {
    let args = vec!["-c".to_owned(), line.to_owned()];
    let command = NodeCommand { program: PathBuf::from("/bin/sh"), args, env: Vec::new() };
    let notes = Arc::new(Notes::default());
    let at = |node| (NodeId(node), "127.0.0.1:9".parse().unwrap());
    let settings = ClientSettings {
        route,
        addresses: BTreeMap::from([at(1), at(2)]),
        attempt: Duration::from_millis(500),
        lease_reads: false,
        first: 0,
        workload: "kv",
    };
    (ChildClient::new(command, &settings, Arc::clone(&notes) as Arc<dyn ClientNotes>), notes)
}

fn write(value: i64) -> KvOperation {
    KvOperation::Write { key: "k".to_owned(), value }
}

/// Answers the first operations with these lines, one each.
fn answering(lines: &[&str]) -> String {
    let answers: String = lines.iter().map(|line| format!("read q; printf '{line}'; ")).collect();
    format!("read init; {answers} read end")
}

fn unknown(code: &str) -> impl Fn(&Result<KvAnswer, ClientError>) -> bool {
    move |ended| matches!(ended, Err(error) if error.class == ErrorClass::Indefinite && error.code == code)
}

#[tokio::test]
async fn a_client_that_keeps_to_it_is_asked_again_and_again() {
    let lines = [
        r#"{"id":1,"type":"ok","node":"n2"}\n"#,
        r#"{"id":2,"type":"fail","error":"READONLY"}\n"#,
        r#"{"id":3,"type":"info","error":"cut"}\n"#,
        r#"{"id":4,"type":"ok","value":7}\n"#,
    ];
    let line = format!("echo hello >&2; {}", answering(&lines));
    let (mut client, notes) = client(&line, Route::Leader);
    assert_eq!(client.node(), None);
    assert_eq!(client.call(&write(1), PATIENCE).await, Ok(KvAnswer::Done));
    assert_eq!(client.node(), Some(NodeId(2)));
    let fail = client.call(&write(2), PATIENCE).await.unwrap_err();
    assert_eq!((fail.class, fail.code), (ErrorClass::Definite, "READONLY"));
    assert!(unknown("cut")(&client.call(&write(3), PATIENCE).await));
    let read = KvOperation::Read { key: "k".to_owned() };
    assert_eq!(client.call(&read, PATIENCE).await, Ok(KvAnswer::Value(Some(7))));
    let begin = Instant::now();
    while notes.said.lock().unwrap().as_slice() != b"hello\n" {
        assert!(begin.elapsed() < PATIENCE, "nothing in the log");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(client);
    assert_eq!(notes.findings(), Vec::<String>::new());
    assert_eq!(*notes.answers.lock().unwrap(), 4, "each is an answer, whatever it says");
}

/// What it is told first, and what it is asked.
#[tokio::test]
async fn a_client_is_told_whom_to_ask() {
    let line = r#"read init; read q; echo "$init" >&2; echo "$q" >&2; echo '{"id":1,"type":"ok","node":"n2"}'; read end"#;
    let (mut client, notes) = client(line, Route::Node(NodeId(1)));
    assert_eq!(client.call(&write(3), PATIENCE).await, Ok(KvAnswer::Done));
    assert_eq!(client.node(), Some(NodeId(1)));
    let begin = Instant::now();
    let said = loop {
        let said = String::from_utf8(notes.said.lock().unwrap().clone()).unwrap();
        if said.lines().count() == 2 {
            break said;
        }
        assert!(begin.elapsed() < PATIENCE, "{said}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for part in [r#""type":"init""#, r#""node":"n1""#, r#""n2":"127.0.0.1:9""#, r#""f":"write""#] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

/// Whatever it does instead, the operation may have happened, somebody is told, and the next one finds a client that
/// works again.
#[tokio::test]
async fn whatever_else_it_does_is_info_and_a_finding_and_a_new_process() {
    let huge = "head -c 100000 /dev/zero | tr '\\0' x";
    for (does, code, told) in [
        (r#"echo hello"#, "client-answer", "it wrote `hello`, which is not JSON; it was asked `{"),
        (
            r#"echo '{"id":9,"type":"ok"}'"#,
            "client-answer",
            r#"it wrote `{"id":9,"type":"ok"}`, which answers 9, and 1 was asked"#,
        ),
        (
            r#"printf '{"id":1,"type":"ok"}\n{"id":1,"type":"ok"}\n'"#,
            "client-answer",
            r#"it wrote `{"id":1,"type":"ok"}` and then `{"id":1,"type":"ok"}`, where one"#,
        ),
        (
            r#"echo '{"id":1,"type":"fail","error":"mismatch"}'"#,
            "client-answer",
            r#"it wrote `{"id":1,"type":"fail","error":"mismatch"}`, which is a mismatch"#,
        ),
        (huge, "client-answer", "it wrote more than 65536 bytes without an end of line: `xxx"),
        ("exit 3", "client-ended", "it ended with exit code 3; it was asked `{"),
        (
            "echo one >&2; echo '  no such thing' >&2; exit 3",
            "client-ended",
            "it ended with exit code 3, and said last `no such thing` to standard error; it was",
        ),
        ("printf half; kill -9 $$", "client-ended", "it was ended by SIGKILL after `half`; it"),
        ("exec >&-; sleep 1000", "client-ended", "it closed its standard output; it was asked"),
    ] {
        let flag = tempfile::tempdir().unwrap();
        let flag = flag.path().join("done");
        let good = answering(&[r#"{"id":2,"type":"ok"}\n"#]);
        let path = flag.display();
        let line = format!(
            "if [ -e {path} ]; then {good}; fi; read init; read q; : > {path}; {does}; read end"
        );
        std::fs::create_dir_all(flag.parent().unwrap()).unwrap();
        let (mut client, notes) = client(&line, Route::Leader);
        let ended = client.call(&write(1), PATIENCE).await;
        assert!(unknown(code)(&ended), "{does}: {ended:?}");
        assert_eq!(client.call(&write(2), PATIENCE).await, Ok(KvAnswer::Done), "{does}");
        let findings = notes.findings();
        assert_eq!(findings.len(), 1, "{does}: {findings:?}");
        assert!(findings[0].starts_with(told), "{does}: {findings:?}");
    }
}

#[tokio::test]
async fn silence_ends_with_the_deadline_and_so_does_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let line = format!("read init; echo $$ > {}; read q; sleep 1000", file.display());
    let (mut client, notes) = client(&line, Route::Leader);
    let begin = Instant::now();
    let ended = client.call(&write(1), Duration::from_secs(4)).await;
    assert!(unknown("client-silent")(&ended), "{ended:?}");
    assert!(begin.elapsed() < Duration::from_secs(14), "{:?}", begin.elapsed());
    assert!(notes.findings()[0].starts_with("it did not answer before the deadline; it was asked"));
    let pid: u32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    assert_gone(pid).await;
}

/// What it says although it was asked nothing is told at the latest when it is ended.
#[tokio::test]
async fn a_line_between_two_operations_costs_none_of_them() {
    let again = r#"read init; read q; echo '{"id":1,"type":"ok"}'; sleep 0.3; echo more; read q;
        echo '{"id":2,"type":"ok"}'; read end"#;
    let fresh = r#"read init; read q; echo '{"id":2,"type":"ok"}'; read end"#;
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("done");
    let path = flag.display();
    let line = format!("if [ -e {path} ]; then {fresh}; else : > {path}; {again}; fi");
    let (mut client, notes) = client(&line, Route::Leader);
    assert_eq!(client.call(&write(1), PATIENCE).await, Ok(KvAnswer::Done));
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(client.call(&write(2), PATIENCE).await, Ok(KvAnswer::Done));
    let told = "it wrote `more` after operation 1 was answered, although it was asked nothing";
    assert_eq!(notes.findings(), [told]);
}

#[tokio::test]
async fn a_line_after_the_last_operation_is_found_too() {
    let line = r#"read init; read q; echo '{"id":1,"type":"ok"}'; sleep 0.2; echo more; read end"#;
    let (mut client, notes) = client(line, Route::Leader);
    assert_eq!(client.call(&write(1), PATIENCE).await, Ok(KvAnswer::Done));
    tokio::time::sleep(Duration::from_millis(900)).await;
    drop(client);
    assert_eq!(notes.findings().len(), 1);
}

#[tokio::test]
async fn a_program_that_is_not_there_did_nothing() {
    let notes: Arc<Notes> = Arc::default();
    let (template, _) = client("", Route::Leader);
    let mut client = ChildClient {
        command: NodeCommand { program: "/absent/client".into(), ..template.command.clone() },
        process: None,
        notes: Arc::clone(&notes) as Arc<dyn ClientNotes>,
        init: template.init.clone(),
        nodes: template.nodes.clone(),
        pinned: None,
        id: 0,
        answered: None,
    };
    let error = client.call(&write(1), PATIENCE).await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "client-not-started"));
    assert!(notes.findings()[0].starts_with("the client /absent/client cannot be started: "));
}

/// It was asked nothing, so nothing happened; it may only be slow.
#[tokio::test]
async fn a_client_that_takes_its_time_to_start_is_waited_for_by_no_operation() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", flag.display());
    let line = format!("{wait}; {}", answering(&[r#"{"id":1,"type":"ok"}\n"#]));
    let (mut client, notes) = client(&line, Route::Leader);
    for _ in 0..2 {
        let error = client.call(&write(1), Duration::from_millis(200)).await.unwrap_err();
        assert_eq!((error.class, error.code), (ErrorClass::Definite, "client-not-ready"));
    }
    std::fs::write(flag, "").unwrap();
    assert_eq!(client.call(&write(1), PATIENCE).await, Ok(KvAnswer::Done));
    assert_eq!(notes.findings(), Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_ends_before_it_is_asked_did_nothing() {
    let (mut client, notes) = client("exit 4", Route::Leader);
    let error = client.call(&write(1), PATIENCE).await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "client-not-ready"));
    let told =
        "it ended with exit code 4 before the first operation, although it was asked nothing";
    assert_eq!(notes.findings(), [told]);
}

/// A client that reads nothing more cannot hold up whoever writes to it.
#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_in_time() {
    let (mut client, _notes) = client("read init; sleep 1000", Route::Leader);
    let long = KvOperation::Write { key: "k".repeat(1 << 20), value: 1 };
    let begin = Instant::now();
    assert!(unknown("client-silent")(&client.call(&long, Duration::from_secs(4)).await));
    assert!(begin.elapsed() < Duration::from_secs(14), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_client_that_is_dropped_ends_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let path = file.display();
    let line = format!(
        "sleep 1000 & echo $! >> {path}; setsid sh -c 'echo $$ >> {path}; exec sleep 1000' & \
         while [ $(wc -l < {path}) != 2 ]; do sleep 0.01; done; echo $$ >> {path}; {}",
        answering(&[r#"{"id":1,"type":"ok"}\n"#])
    );
    let (mut client, _notes) = client(&line, Route::Leader);
    assert_eq!(client.call(&write(1), PATIENCE).await, Ok(KvAnswer::Done));
    let pids = std::fs::read_to_string(&file).unwrap();
    assert_eq!(pids.lines().count(), 3, "{pids}");
    drop(client);
    for pid in pids.lines() {
        assert_gone(pid.parse().unwrap()).await;
    }
}

async fn assert_gone(pid: u32) {
    let stat = PathBuf::from(format!("/proc/{pid}/stat"));
    let is_there = |stat: &Path| {
        let stat = std::fs::read_to_string(stat).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let begin = Instant::now();
    while is_there(&stat) {
        assert!(begin.elapsed() < PATIENCE, "{pid} is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
