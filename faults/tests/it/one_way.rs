//! A link is one direction between two nodes, on connections that either of them dialled.

use crate::lab::{Lab, Pair, crosses, is_silent, link, soon};
use faults::{Heal, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_one_way_cut_stops_one_way_whoever_dialled() {
    let lab = Lab::new(2).await;
    // `one` and `two` are the ends at n1 and n2.
    let Pair { dialler: one, target: two } = lab.pair(1, 2).await;
    let Pair { dialler: two_dialled, target: one_dialled } = lab.pair(2, 1).await;
    let mut connections = [(one, two), (one_dialled, two_dialled)];
    for (one, two) in &mut connections {
        crosses(one, two, b"before").await;
        crosses(two, one, b"before").await;
    }
    let before = lab.hub.apply(Plan::hold([link(1, 2)], Heal::Deliver)).await.unwrap().counters;
    for (one, two) in &mut connections {
        one.write_all(b"held").await.unwrap();
        is_silent(two).await;
        crosses(two, one, b"open").await;
    }
    // A connection that n2 dials now reaches n1, and n1 can hear it but not answer.
    let Pair { dialler: mut two, target: mut one } = lab.pair(2, 1).await;
    crosses(&mut two, &mut one, b"open").await;
    one.write_all(b"held").await.unwrap();
    is_silent(&mut two).await;
    let after = lab.hub.apply(Plan::default()).await.unwrap().counters;
    let forwarded =
        |from, to| after[&link(from, to)].forwarded_bytes - before[&link(from, to)].forwarded_bytes;
    assert_eq!((forwarded(1, 2), forwarded(2, 1)), (0, 3 * 4));
    assert_eq!(after[&link(1, 2)].waiting_bytes, 3 * 4);
    for (_, two) in &mut connections {
        let mut got = [0; 4];
        soon("bytes", two.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"held");
    }
}
