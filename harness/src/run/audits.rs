//! When a run looks for ways around its proxies: once a leader is there, after every heal, and before the end.
//!
//! Looking blocks for some milliseconds, so it happens on the runtime's blocking threads; heals that come during a look share the next. Each look leaves a line in `cluster.jsonl`. The first leak ends the run, and nothing of it is
//! judged: what was cut was not cut.

use crate::deploy::Deployment;
use crate::exit::Failure;
use crate::recorder::Journal;
use crate::results::Observed;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// How long one look may take.
const LIMIT: Duration = Duration::from_secs(15);

/// The looks of one run, as long as this is there.
pub(super) struct Audits {
    looker: Looker,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Looker {
    deployment: Deployment,
    journal: Arc<Journal>,
    found: Arc<watch::Sender<Option<Failure>>>,
}

impl Audits {
    /// Looks after every heal from now on.
    pub(super) fn start(
        deployment: Deployment,
        journal: Arc<Journal>,
        healed: Arc<Notify>,
    ) -> Self {
        let found = Arc::new(watch::channel(None).0);
        let looker = Looker { deployment, journal, found };
        let looks = looker.clone();
        let task = tokio::spawn(async move {
            loop {
                healed.notified().await;
                // A leak is told through `found`.
                let _ = looks.look().await;
            }
        });
        Self { looker, task }
    }

    /// Looks now.
    ///
    /// # Errors
    /// There is a way around the proxies, now or at an earlier look, or that cannot be seen.
    pub(super) async fn look(&self) -> Result<(), Failure> {
        let looked = self.looker.look().await;
        self.found().map_or(looked, Err)
    }

    /// What an earlier look found.
    pub(super) fn found(&self) -> Option<Failure> {
        self.looker.found.borrow().clone()
    }

    /// Ends when a look finds something.
    pub(super) fn leak(&self) -> impl Future<Output = Failure> + use<> {
        let mut found = self.looker.found.subscribe();
        async move {
            match found.wait_for(Option::is_some).await.map(|found| found.clone()) {
                Ok(Some(failure)) => failure,
                // Nobody looks any more.
                _ => std::future::pending().await,
            }
        }
    }
}

impl Drop for Audits {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Looker {
    async fn look(&self) -> Result<(), Failure> {
        let deployment = self.deployment.clone();
        let looking = tokio::task::spawn_blocking(move || deployment.audit());
        let failure = match tokio::time::timeout(LIMIT, looking).await {
            Ok(Ok(Ok(sockets))) => {
                let callers = self.deployment.callers();
                self.journal.observe(Observed::Audit { sockets, callers });
                return Ok(());
            }
            Ok(Ok(Err(error))) => error.into(),
            Ok(Err(error)) => Failure::environment(format!("the bypass audit failed: {error}")),
            Err(_) => {
                let limit = LIMIT.as_secs();
                Failure::environment(format!("the bypass audit took longer than {limit} s"))
            }
        };
        self.found.send_if_modified(|found| found.replace(failure.clone()).is_none());
        Err(failure)
    }
}
