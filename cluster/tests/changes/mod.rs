//! A running cluster whose nodes and leaders change, while a client writes.

mod many;

use std::time::{Duration, Instant};

use cluster::bug::Bugs;
use cluster::node::NodeError;
use cluster::proto::change_request::Change;
use cluster::proto::{AddLearner, ErrorCode, Reason, Role, Voters};
use tokio::time::sleep;

use crate::nodes::{Answer, Nodes, read, write};

fn learner(nodes: &Nodes, id: u64) -> Change {
    Change::AddLearner(AddLearner { id, address: nodes.peer_address(id) })
}

#[tokio::test]
async fn leadership_moves_on_request_and_writes_go_on() {
    let nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let target = nodes.ids().find(|id| *id != leader).unwrap();
    let refused = nodes.transfer(target, leader).await.error.unwrap();
    assert_eq!((refused.code(), refused.leader), (ErrorCode::NotLeader, leader));
    let stranger = nodes.transfer(leader, 9).await.error.unwrap();
    assert_eq!(
        (stranger.code(), stranger.reason()),
        (ErrorCode::DefinitelyNotApplied, Reason::InvalidChange)
    );
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    let moved = nodes.transfer(leader, target).await;
    assert_eq!((moved.error, moved.leader), (None, target));
    assert_eq!(nodes.leader().await, target);
    let mut client = nodes.client(target).await;
    assert_eq!(client.execute(read("k")).await, Answer::value("1"));
    assert_eq!(client.execute(write("k", "2")).await, Answer::Done);
}

/// A leader that is stopped does not cost its cluster an election timeout: by the time it has ended,
/// another leads. Were it to end without a word, nobody would lead for 150 to 300 ms.
#[tokio::test]
async fn a_leader_that_is_stopped_hands_its_leadership_over() {
    let mut nodes = Nodes::start(3, Bugs::NONE);
    for _ in 0..3 {
        let leader = nodes.leader().await;
        let term = nodes.status(leader).await.unwrap().term;
        nodes.stop(leader);
        let mut successor = None;
        for id in nodes.ids().filter(|id| *id != leader) {
            let status = nodes.status(id).await.unwrap();
            successor = successor.or((status.leader != leader).then_some(status.leader));
        }
        assert!(successor.is_some_and(|id| id != 0), "{successor:?} leads after node {leader}");
        let new = nodes.leader().await;
        assert_eq!(nodes.status(new).await.unwrap().term, term + 1, "one election, none lost");
        nodes.start_again(leader);
    }
}

/// Node 3 dies for good; node 4, which was told of nobody, takes its place and survives a restart of all.
#[tokio::test]
async fn a_dead_node_is_replaced_by_one_that_joins() {
    let mut nodes = Nodes::start(3, Bugs::NONE);
    let mut leader = nodes.leader().await;
    if leader == 3 {
        assert_eq!(nodes.transfer(3, 1).await.error, None);
        leader = nodes.leader().await;
    }
    let mut client = nodes.client(leader).await;
    for number in 0..50 {
        assert_eq!(client.execute(write("k", &number.to_string())).await, Answer::Done);
    }
    nodes.stop(3);
    nodes.join(4);
    let malformed = Change::AddLearner(AddLearner { id: 4, address: "nowhere".to_owned() });
    assert_eq!(nodes.change(leader, malformed).await.unwrap().reason(), Reason::Malformed);
    assert_eq!(nodes.change(leader, learner(&nodes, 4)).await, None);
    let again = nodes.change(leader, learner(&nodes, 4)).await.unwrap();
    assert_eq!(again.reason(), Reason::InvalidChange);
    let voters = Change::Voters(Voters { ids: vec![1, 2, 4] });
    nodes.change_when_ready(leader, voters).await;
    let status = nodes.status(leader).await.unwrap();
    assert_eq!((status.voters, status.outgoing, status.learners), (vec![1, 2, 4], vec![], vec![]));

    // The new node counts: with the other old one gone, the two that are left still write and read.
    let other = 3 - leader;
    nodes.stop(other);
    assert_eq!(client.execute(write("k", "x")).await, Answer::Done);
    assert_eq!(nodes.transfer(leader, 4).await.error, None);
    let mut new = nodes.client(4).await;
    assert_eq!(new.execute(read("k")).await, Answer::value("x"));

    // What the log says outlives the flags that the nodes are started with.
    nodes.start_again(other);
    for id in [1, 2, 4] {
        nodes.stop(id);
    }
    for id in [1, 2, 4] {
        nodes.start_again(id);
    }
    let leader = nodes.leader().await;
    assert_eq!(nodes.status(leader).await.unwrap().members, [1, 2, 4]);
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(read("k")).await, Answer::value("x"));
}

/// Five changes, one after another; the last one removes the leader itself.
#[tokio::test]
async fn a_cluster_grows_shrinks_and_removes_its_leader() {
    let mut nodes = Nodes::start(1, Bugs::NONE);
    assert_eq!(nodes.leader().await, 1);
    for id in 2..=3 {
        nodes.join(id);
        assert_eq!(nodes.change(1, learner(&nodes, id)).await, None);
        nodes.change_when_ready(1, Change::Promote(id)).await;
    }
    let mut client = nodes.client(1).await;
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    assert_eq!(nodes.leader().await, 1);
    assert_eq!(nodes.change(1, Change::Remove(1)).await, None);
    let start = Instant::now();
    let leader = loop {
        let status = nodes.status(2).await.unwrap();
        if [2, 3].contains(&status.leader) {
            break status.leader;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "nobody leads");
        sleep(Duration::from_millis(5)).await;
    };
    let mut client = nodes.client(leader).await;
    client.forward = true;
    assert_eq!(client.execute(read("k")).await, Answer::value("1"));
    let term = nodes.status(leader).await.unwrap().term;
    // The removed node runs on, and disturbs nobody for several of its election timeouts.
    sleep(Duration::from_secs(1)).await;
    let status = nodes.status(leader).await.unwrap();
    assert_eq!((status.term, status.leader, status.members), (term, leader, vec![2, 3]));
}

/// A follower loses its data directory and is started as before: its word counts no more, and it is told to go.
#[tokio::test]
async fn a_wiped_node_is_refused() {
    let mut nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    let wiped = nodes.ids().find(|id| *id != leader).unwrap();
    let before = nodes.status(wiped).await.unwrap().identity;
    nodes.until(leader, |status| status.commit == status.last).await;
    nodes.stop(wiped);
    nodes.wipe(wiped);
    nodes.start_again(wiped);
    let error = nodes.ended(wiped).await;
    let message = error.to_string();
    assert!(matches!(error, NodeError::Stranger { .. }) && error.exit_code() == 65, "{message}");
    assert!(message.contains(&format!("Remove node {wiped} from the cluster")), "{message}");

    // The others go on, and the id is free once it has left.
    assert_eq!(client.execute(write("k", "2")).await, Answer::Done);
    nodes.change_when_ready(leader, Change::Remove(wiped)).await;
    nodes.join(4);
    nodes.change_when_ready(leader, learner(&nodes, 4)).await;
    nodes.change_when_ready(leader, Change::Promote(4)).await;
    nodes.wipe(wiped);
    nodes.start_again_to_join(wiped);
    nodes.change_when_ready(leader, learner(&nodes, wiped)).await;
    nodes.change_when_ready(leader, Change::Promote(wiped)).await;
    let commit = nodes.status(leader).await.unwrap().commit;
    let after = nodes.until(wiped, |status| status.applied >= commit).await;
    assert!(after.identity != before && before != 0);
    assert_eq!(client.execute(read("k")).await, Answer::value("2"));
}

/// With one member away, the wiped one is half of what is left: it must not help to elect anybody.
#[tokio::test]
async fn a_wiped_node_elects_nobody() {
    let mut nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    let others: Vec<u64> = nodes.ids().filter(|id| *id != leader).collect();
    let (behind, wiped) = (others[0], others[1]);
    // The two have had nothing to say to each other but who they are, when they connected.
    nodes.stop(wiped);
    nodes.wipe(wiped);
    nodes.stop(leader);
    // Leadership was handed over to it. What it knows of the others it knows from its disk.
    nodes.stop(behind);
    nodes.start_again(behind);
    nodes.start_again(wiped);
    // Several election timeouts of both.
    for _ in 0..30 {
        for id in [behind, wiped] {
            let status = nodes.status(id).await.unwrap();
            assert_ne!(status.role(), Role::Leader, "node {id}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    nodes.start_again(leader);
    assert!(matches!(nodes.ended(wiped).await, NodeError::Stranger { .. }));
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(read("k")).await, Answer::value("1"));
}

/// A node that is removed while it is away asks for votes when it is back; it is told, and ends.
#[tokio::test]
async fn a_node_that_missed_its_removal_is_told_and_ends() {
    let mut nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let removed = nodes.ids().find(|id| *id != leader).unwrap();
    nodes.stop(removed);
    assert_eq!(nodes.change(leader, Change::Remove(removed)).await, None);
    // Restarted, so that nothing is left in a queue that could tell it by the log.
    nodes.ids().filter(|id| *id != removed).for_each(|id| {
        nodes.stop(id);
        nodes.start_again(id);
    });
    let leader = nodes.leader().await;
    nodes.start_again(removed);
    let error = nodes.ended(removed).await;
    let message = error.to_string();
    assert!(matches!(error, NodeError::Removed { .. }) && error.exit_code() == 78, "{message}");
    assert!(message.contains(&format!("node {removed} was removed")), "{message}");
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    assert_eq!(nodes.status(leader).await.unwrap().leader, leader);
}
