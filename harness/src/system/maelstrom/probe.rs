//! Whether a node is there: its bridge answers, and is stopped, killed and starved together with it.
//!
//! Maelstrom's nodes have no word for what they think they are, so that is all there is to see.

use super::connection::Connection;
use crate::system::{NodeStatus, Probe};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;
use workloads::BoxFuture;

/// Asks one bridge, over a connection it keeps while it works.
#[derive(Debug)]
pub struct MaelstromProbe {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl MaelstromProbe {
    /// A probe of the node behind `address`; connects on its first use.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    async fn knock(&mut self) -> std::io::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        connection.knock().await?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Probe for MaelstromProbe {
    fn status<'a>(&'a mut self, limit: Duration) -> BoxFuture<'a, Result<NodeStatus, String>> {
        Box::pin(async move {
            match timeout(limit, self.knock()).await {
                Ok(Ok(())) => Ok(NodeStatus::running()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer in {limit:?}")),
            }
        })
    }
}
