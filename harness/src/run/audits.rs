//! When a run looks for ways around its proxies: once a leader is there, after every heal, and before the end.
//!
//! Looking blocks for some milliseconds, so it happens on the runtime's blocking threads; heals that come during a look share
//! the next. Each look leaves a line in `cluster.jsonl`, also one that finds a leak. The first leak ends the run, and
//! nothing of it is judged, now or later: what was cut was not cut.

use super::Ending;
use crate::deploy::{DeployError, Deployment};
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

    /// Looks a last time. After a failure it may be impossible to look, as when the nodes are gone, and that is then held
    /// against nobody.
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    pub(super) async fn last_look(&self, after_failure: bool) -> Result<(), Failure> {
        let looked = self.looker.look_with(after_failure).await;
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

/// How a run ended, with what the last look found: a leak says more than any other failure, which then stands beside it.
pub(super) fn with_look(
    ended: Result<Ending, Failure>,
    looked: Result<(), Failure>,
) -> Result<Ending, Failure> {
    match (ended, looked) {
        (ended, Ok(())) => ended,
        (Ok(_), Err(leak)) => Err(leak),
        (Err(failure), Err(leak)) if failure == leak => Err(leak),
        (Err(failure), Err(leak)) => Err(leak.details([failure.message])),
    }
}

impl Looker {
    async fn look(&self) -> Result<(), Failure> {
        self.look_with(false).await
    }

    async fn look_with(&self, may_be_impossible: bool) -> Result<(), Failure> {
        let deployment = self.deployment.clone();
        let looking = tokio::task::spawn_blocking(move || deployment.audit());
        let (failure, is_leak) = match tokio::time::timeout(LIMIT, looking).await {
            Ok(Ok(Ok(sockets))) => {
                let callers = self.deployment.callers();
                self.journal.observe(Observed::Audit { sockets, callers });
                return Ok(());
            }
            Ok(Ok(Err(error))) => {
                let is_leak = matches!(error, DeployError::Bypassed(_));
                (Failure::from(error), is_leak)
            }
            Ok(Err(error)) => {
                (Failure::environment(format!("the bypass audit failed: {error}")), false)
            }
            Err(_) => {
                let limit = LIMIT.as_secs();
                let why = format!("the bypass audit took longer than {limit} s");
                (Failure::environment(why), false)
            }
        };
        if may_be_impossible && !is_leak {
            return Ok(());
        }
        // On file before anybody is told, so that a run that ends now is not judged later either.
        self.journal.observe(Observed::Unaudited { text: failure.message.clone() });
        self.found.send_if_modified(|found| found.replace(failure.clone()).is_none());
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_says_more_than_any_other_failure() {
        let failure = || Failure::environment("the disk is full");
        let leak = || Failure::environment("n1 reaches n2");
        assert_eq!(with_look(Ok(Ending::Complete), Ok(())), Ok(Ending::Complete));
        assert_eq!(with_look(Err(failure()), Ok(())), Err(failure()));
        assert_eq!(with_look(Ok(Ending::Interrupted), Err(leak())), Err(leak()));
        assert_eq!(with_look(Err(leak()), Err(leak())), Err(leak()));
        let both = with_look(Err(failure()), Err(leak())).unwrap_err();
        assert_eq!(
            (both.message.as_str(), &both.details[..]),
            ("n1 reaches n2", &["the disk is full".to_owned()][..])
        );
    }
}
