//! A node on a real disk that takes no more, for which no other user of the machine has to suffer: the size of the
//! files that the process may make is limited from outside while it runs.

use std::process::Command;
use std::time::Duration;

use cluster::proto::{ErrorCode, Reason};
use tokio::time::sleep;

use crate::nodes::processes::Processes;
use crate::nodes::{Answer, Client, read, write};

/// A segment that is there already may be written up to here; none of the next size may be made.
const LIMIT: u64 = 32 << 10;

/// Limits the files of a process to so many bytes; false if there is no such program here.
fn limit_files(process: u32, most: &str) -> bool {
    let arguments = [format!("--pid={process}"), format!("--fsize={most}:")];
    match Command::new("prlimit").args(arguments).status() {
        Ok(status) => {
            assert!(status.success(), "prlimit: {status}");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
            false
        }
    }
}

async fn connect(nodes: &Processes) -> Client {
    for _ in 0..500 {
        if let Some(client) = nodes.client(1).await {
            return client;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the node did not come up")
}

/// Writes until the answer is this one, which is neither an error of the connection nor of anything else.
async fn write_until(client: &mut Client, wanted: &Answer, value: &str) -> u64 {
    let no_leader = |answer: &Answer| matches!(answer, Answer::Error(ErrorCode::NotLeader, ..));
    for number in 0..3000 {
        let answer = client.execute(write("k", value)).await;
        if answer == *wanted {
            return number;
        }
        assert!(
            answer == Answer::Done || no_leader(&answer) || *wanted == Answer::Done,
            "{answer:?}"
        );
        if answer != Answer::Done {
            sleep(Duration::from_millis(10)).await;
        }
    }
    panic!("it was never {wanted:?}")
}

#[tokio::test]
async fn a_node_whose_files_may_not_grow_refuses_writes_and_recovers() {
    let full = Answer::Error(ErrorCode::DefinitelyNotApplied, Reason::DiskFull, 0);
    let mut nodes = Processes::start(1);
    let mut client = connect(&nodes).await;
    write_until(&mut client, &Answer::Done, "first").await;
    nodes.kill_all();
    nodes.segment_size = 2 * LIMIT;
    nodes.start_all();
    let mut client = connect(&nodes).await;
    write_until(&mut client, &Answer::Done, "second").await;
    let process = nodes.process_id(1);
    if !limit_files(process, &LIMIT.to_string()) {
        crate::nodes::say("SKIPPED: there is no prlimit here to limit the files of a process");
        return;
    }
    let written = write_until(&mut client, &full, &"x".repeat(100)).await;
    assert!(written > 10, "the first segment had room: {written}");
    assert_eq!(client.execute(read("k")).await, Answer::value(&"x".repeat(100)));

    limit_files(process, "unlimited");
    write_until(&mut client, &Answer::Done, "third").await;
    nodes.kill_all();
    nodes.start_all();
    let mut client = connect(&nodes).await;
    for _ in 0..500 {
        if client.execute(read("k")).await == Answer::value("third") {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("an acknowledged write is gone");
}
