//! How long a cluster does nothing after its leader was killed.
//!
//! Two writers at each survivor try again and again with a deadline of 100 ms. What counts is the first write
//! that *began* after the kill and was acknowledged. Most of the gap is the election timeout that both
//! clusters are told to wait; so what comes after the first survivor's timeout is measured by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::client::Client;
use crate::processes::Cluster;

/// Writers at each survivor.
const WRITERS: usize = 2;
/// How long a write may take before its writer tries again.
const DEADLINE: Duration = Duration::from_millis(100);
/// Pause between two writes.
const PACE: Duration = Duration::from_millis(2);
/// Writers are at work for so long before the kill; and a cluster that is whole again rests so long.
const REST: Duration = Duration::from_secs(1);
/// How long a cluster may take to go on.
const PATIENCE: Duration = Duration::from_secs(30);

/// One kill.
#[derive(Clone, Copy)]
pub(crate) struct Gap {
    /// From the kill to the first acknowledged write.
    pub(crate) whole: Duration,
    /// From the first survivor's election timeout to that write.
    pub(crate) from_timeout: Duration,
}

/// Writes that were acknowledged: when each began and ended.
type Acknowledged = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// Kills the leader, waits until a write succeeds, and starts the dead node again.
pub(crate) async fn kill_leader(cluster: &mut Cluster) -> Result<Gap> {
    let leader = cluster.leader().await?;
    let acknowledged = Acknowledged::default();
    let mut writers = JoinSet::new();
    for (place, member) in cluster.members.iter().enumerate() {
        for _ in 0..if place == leader { 0 } else { WRITERS } {
            let client = member.connect(cluster.who).await?;
            writers.spawn(write(client, Arc::clone(&acknowledged)));
        }
    }
    sleep(REST).await;
    let killed = Instant::now();
    cluster.members[leader].kill();
    let after = async {
        loop {
            sleep(PACE).await;
            let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
            let after = acknowledged.iter().filter(|(began, _)| *began > killed);
            if let Some(first) = after.map(|(_, ended)| *ended).min() {
                break first;
            }
        }
    };
    let first = timeout(PATIENCE, after).await.map_err(|_| "no write was acknowledged")?;
    writers.shutdown().await;
    let campaigns = cluster.members.iter().filter_map(|member| member.campaigned_after(killed));
    let campaign = campaigns.min().ok_or("no survivor said that its election timer had fired")?;
    cluster.start_member(leader)?;
    cluster.leader().await?;
    sleep(REST).await;
    Ok(Gap { whole: first - killed, from_timeout: first.saturating_duration_since(campaign) })
}

/// One writer.
async fn write(mut client: Client, acknowledged: Acknowledged) {
    loop {
        let began = Instant::now();
        let put = client.put(Bytes::from_static(b"failover"), Bytes::from_static(b"value"));
        if let Ok(Ok(())) = timeout(DEADLINE, put).await {
            let ended = Instant::now();
            acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push((began, ended));
        }
        sleep(PACE).await;
    }
}
