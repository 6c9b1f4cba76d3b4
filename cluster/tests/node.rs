//! Three nodes in one process, each on its own thread and runtime, spoken to over gRPC as any client would:
//! writes, reads, redirects, forwarding, sessions, restart from disk, snapshots.

mod changes;
mod full;
mod kill;
mod nodes;
mod streams;

use std::time::Duration;

use cluster::bug::{Bug, Bugs};
use cluster::bug_marks;
use cluster::proto::{
    ErrorCode, OpenSessionRequest, ReadKind, Reason, Request, Role, StatusResponse,
};
use nodes::{Answer, Nodes, cas, delete, lease_read, read, stale_read, write};

#[tokio::test]
async fn a_cluster_serves_redirects_forwards_and_survives_a_restart() {
    let mut nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(read("k")).await, Answer::Value(None));
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    assert_eq!(client.execute(cas("k", Some("1"), "2")).await, Answer::Swapped);
    assert_eq!(client.execute(cas("k", Some("1"), "3")).await, Answer::Mismatch);
    assert_eq!(client.execute(read("k")).await, Answer::value("2"));
    assert_eq!(client.execute(delete("k")).await, Answer::Done);
    assert_eq!(client.execute(cas("k", None, "4")).await, Answer::Swapped);

    let follower = nodes.ids().find(|id| *id != leader).unwrap();
    let mut other = nodes.client(follower).await;
    let redirect = other.execute(write("k", "5")).await;
    assert_eq!(redirect, Answer::Error(ErrorCode::NotLeader, Reason::Unspecified, leader));
    other.forward = true;
    assert_eq!(other.execute(write("k", "5")).await, Answer::Done);
    assert_eq!(other.execute(read("k")).await, Answer::value("5"));
    assert_eq!(other.last.as_ref().map(|last| last.node), Some(leader));

    let session = other.open_session().await.unwrap();
    let retry = Request { session, sequence: 1, ..write("once", "a") };
    assert_eq!(other.execute(retry.clone()).await, Answer::Done);
    assert_eq!(client.execute(write("once", "b")).await, Answer::Done);

    nodes.restart_all();
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(retry).await, Answer::Done);
    assert!(client.last.as_ref().is_some_and(|last| last.replayed), "executed twice");
    assert_eq!(client.execute(read("once")).await, Answer::value("b"));
    assert_eq!(client.execute(read("k")).await, Answer::value("5"));
    let lost = Request { session: 1 << 60, sequence: 1, ..write("k", "6") };
    let expired = Answer::Error(ErrorCode::SessionExpired, Reason::Unspecified, 0);
    assert_eq!(client.execute(lost).await, expired);
    let status = nodes.status(leader).await.unwrap();
    assert_eq!((status.id, status.role(), status.members), (leader, Role::Leader, vec![1, 2, 3]));
    assert!(status.commit >= 10 && status.durable >= status.commit, "{}", status.commit);
}

#[tokio::test]
async fn without_a_quorum_a_write_is_unknown_a_read_is_not_and_later_both_work() {
    let mut nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    let others: Vec<u64> = nodes.ids().filter(|id| *id != leader).collect();
    others.iter().for_each(|id| nodes.stop(*id));
    client.deadline_ms = 100;
    let unknown = client.execute(write("k", "2")).await;
    assert!(matches!(unknown, Answer::Error(ErrorCode::UnknownOutcome, ..)), "{unknown:?}");
    let failed = client.execute(read("k")).await;
    let Answer::Error(code, ..) = failed else { panic!("{failed:?}") };
    assert!([ErrorCode::DefinitelyNotApplied, ErrorCode::NotLeader].contains(&code));
    others.iter().for_each(|id| nodes.start_again(*id));
    let mut client = nodes.client(nodes.leader().await).await;
    let value = client.execute(read("k")).await;
    assert!([Answer::value("1"), Answer::value("2")].contains(&value), "{value:?}");
}

/// What was asked for is what is answered, and the answer says what it is: also without a quorum.
#[tokio::test]
async fn a_stale_read_says_so_and_needs_nobody() {
    let mut nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    assert_eq!(client.execute(read("k")).await, Answer::value("1"));
    assert_eq!(client.read_kind(), Some((ReadKind::Index, 0)));
    let follower = nodes.ids().find(|id| *id != leader).unwrap();
    let others: Vec<u64> = nodes.ids().filter(|id| *id != follower).collect();
    let mut client = nodes.client(follower).await;
    let mut value = client.execute(stale_read("k")).await;
    for _ in 0..100 {
        if value == Answer::value("1") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        value = client.execute(stale_read("k")).await;
    }
    others.iter().for_each(|id| nodes.stop(*id));
    assert_eq!(client.execute(stale_read("k")).await, Answer::value("1"));
    let (kind, applied) = client.read_kind().unwrap();
    assert!(kind == ReadKind::Stale && applied >= 2, "{kind:?} {applied}");
    client.deadline_ms = 100;
    assert!(matches!(client.execute(read("k")).await, Answer::Error(..)));
}

/// A leader that was just confirmed answers by its lease; only if it was asked to, only where leases are on, and not
/// once nobody has confirmed it for longer than a lease.
#[tokio::test]
async fn a_lease_read_says_so_and_a_lease_ends() {
    let mut nodes =
        Nodes::start_with(3, Bugs::NONE, |config| config.lease_drift_ppm = Some(50_000));
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    assert_eq!(client.execute(write("k", "1")).await, Answer::Done);
    let mut by_lease = 0;
    for _ in 0..100 {
        assert_eq!(client.execute(lease_read("k")).await, Answer::value("1"));
        by_lease += usize::from(client.read_kind() == Some((ReadKind::Lease, 0)));
    }
    assert!(by_lease > 0, "a busy machine may cost it some of them");
    assert_eq!(client.execute(read("k")).await, Answer::value("1"));
    assert_eq!(client.read_kind(), Some((ReadKind::Index, 0)));
    let follower = nodes.ids().find(|id| *id != leader).unwrap();
    let mut other = nodes.client(follower).await;
    let redirect = other.execute(lease_read("k")).await;
    assert!(matches!(redirect, Answer::Error(ErrorCode::NotLeader, ..)), "{redirect:?}");
    other.forward = true;
    assert_eq!(other.execute(lease_read("k")).await, Answer::value("1"));

    let others: Vec<u64> = nodes.ids().filter(|id| *id != leader).collect();
    others.iter().for_each(|id| nodes.stop(*id));
    tokio::time::sleep(Duration::from_millis(150)).await;
    client.deadline_ms = 100;
    let failed = client.execute(lease_read("k")).await;
    assert!(matches!(failed, Answer::Error(..)), "{failed:?}");
}

#[tokio::test]
async fn without_leases_a_lease_read_is_a_read_like_any_other() {
    let nodes = Nodes::start(1, Bugs::NONE);
    let mut client = nodes.client(nodes.leader().await).await;
    for _ in 0..3 {
        assert_eq!(client.execute(lease_read("k")).await, Answer::Value(None));
        assert_eq!(client.read_kind(), Some((ReadKind::Index, 0)));
    }
}

#[tokio::test]
async fn a_value_over_the_limit_is_refused_with_its_size() {
    let nodes = Nodes::start(1, Bugs::NONE);
    let mut client = nodes.client(nodes.leader().await).await;
    let large = "x".repeat(cluster::node::VALUE_MAX + 1);
    let refused = Answer::Error(ErrorCode::DefinitelyNotApplied, Reason::TooLarge, 0);
    assert_eq!(client.execute(write("k", &large)).await, refused);
    assert!(client.message().contains("1048577 bytes; the limit is 1048576"));
}

/// The bugs that a few requests to a healthy cluster reach; the others need trouble.
const EVERY_REQUEST_MEETS: [Bug; 9] = [
    Bug::LocalRead,
    Bug::FollowerRead,
    Bug::AckOnAppend,
    Bug::QuorumMinusOne,
    Bug::RetryDoubleApply,
    Bug::CasAtLeader,
    Bug::ReadIndexNoTerm,
    Bug::ReadIndexEarlyAck,
    Bug::Fig8,
];

#[tokio::test]
async fn with_each_bug_a_cluster_still_serves_and_counts() {
    for bug in Bug::ALL {
        let nodes = Nodes::start_with(3, bug.into(), |config| {
            let of_snapshots = config.bugs.iter().any(|bug| bug.name().starts_with("snapshot-"));
            config.snapshot_entries = u64::from(of_snapshots);
        });
        let leader = nodes.leader().await;
        let mut client = nodes.client(leader).await;
        let session = client.open_session().await.unwrap();
        let retry = Request { session, sequence: 1, ..write("k", "1") };
        assert_eq!(client.execute(retry.clone()).await, Answer::Done, "{bug}");
        assert_eq!(client.execute(retry).await, Answer::Done, "{bug}");
        assert_eq!(client.execute(cas("k", Some("1"), "2")).await, Answer::Swapped, "{bug}");
        assert_eq!(client.execute(read("k")).await, Answer::value("2"), "{bug}");
        let counts = bug_marks::read(&nodes.marks(leader)).unwrap();
        let reached = counts.iter().find(|count| count.bug == bug).unwrap().reached;
        let always = EVERY_REQUEST_MEETS.contains(&bug);
        assert!(reached > 0 || !always, "{bug} was not reached");
        assert!(counts.iter().all(|count| count.bug == bug || count.reached == 0), "{bug}");
    }
}

/// The node with the shorter patience comes back by a snapshot, and then leads with what that held.
#[tokio::test]
async fn a_follower_that_was_down_comes_back_by_snapshot_and_may_lead() {
    const LATE: u64 = 3;
    let mut nodes = Nodes::start_with(3, Bugs::NONE, |config| {
        config.snapshot_entries = 40;
        config.segment_size = 4096;
        if config.id != LATE {
            config.election = Duration::from_millis(700);
        }
    });
    nodes.leader().await;
    nodes.stop(LATE);
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    let session = client.open_session().await.unwrap();
    let retry = Request { session, sequence: 1, ..write("once", "a") };
    assert_eq!(client.execute(retry.clone()).await, Answer::Done);
    assert_eq!(client.execute(write("once", "b")).await, Answer::Done);
    for number in 0..300 {
        let request = write(&format!("k{}", number % 50), &format!("{number}"));
        assert_eq!(client.execute(request).await, Answer::Done);
    }
    let covers = |status: &StatusResponse| status.snapshot.unwrap_or_default().index >= 200;
    let before = nodes.until(leader, |status| status.first > 150 && covers(status)).await;
    let snapshot = before.snapshot.unwrap();
    assert!(snapshot.taken >= 3 && snapshot.bytes > 500, "{snapshot:?}");
    assert!(before.wal.unwrap().segments < 10, "old segments are deleted");

    nodes.start_again(LATE);
    let commit = before.commit;
    let after = nodes.until(LATE, |status| status.applied >= commit).await;
    let snapshot = after.snapshot.unwrap();
    assert!(snapshot.installed >= 1 && after.first > 150 && covers(&after), "{after:?}");
    assert_eq!(after.keys, before.keys);

    nodes.stop(leader);
    assert_eq!(nodes.leader().await, LATE);
    let mut client = nodes.client(LATE).await;
    for number in 250..300 {
        let value = client.execute(read(&format!("k{}", number % 50))).await;
        assert_eq!(value, Answer::value(&format!("{number}")));
    }
    assert_eq!(client.execute(retry).await, Answer::Done);
    assert!(client.last.as_ref().is_some_and(|last| last.replayed), "executed twice");
    assert_eq!(client.execute(read("once")).await, Answer::value("b"));
}

#[tokio::test]
async fn a_cluster_starts_again_from_snapshots_and_the_log_after_them() {
    let mut nodes = Nodes::start_with(3, Bugs::NONE, |config| config.snapshot_entries = 30);
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    for number in 0..130 {
        let request = write(&format!("k{}", number % 20), &format!("{number}"));
        assert_eq!(client.execute(request).await, Answer::Done);
    }
    nodes.until(leader, |status| status.snapshot.unwrap_or_default().index >= 90).await;
    nodes.restart_all();
    let leader = nodes.leader().await;
    let status = nodes.status(leader).await.unwrap();
    assert!(status.first > 50 && status.snapshot.unwrap().index >= 50, "{status:?}");
    let mut client = nodes.client(leader).await;
    for number in 110..130 {
        let value = client.execute(read(&format!("k{}", number % 20))).await;
        assert_eq!(value, Answer::value(&format!("{number}")));
    }
}

#[tokio::test]
async fn sessions_open_through_a_follower_too() {
    let nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let follower = nodes.ids().find(|id| *id != leader).unwrap();
    let mut client = nodes.client(follower).await;
    assert_eq!(client.open_session().await.unwrap_err().leader, leader);
    client.forward = true;
    assert!(client.open_session().await.is_ok());
    let request = OpenSessionRequest { deadline_ms: 1, forward: false };
    assert!(client.kv.open_session(request).await.is_ok(), "a typed answer, not a status");
}

#[test]
#[ignore = "a node for the tests that kill processes, which start it themselves"]
fn node_process() {
    nodes::processes::run_as_node();
}
