//! `--fail-fast`: judges the history while it is recorded, and ends the run at the first violation.
//!
//! The judge keeps what may still matter and looks at every event once, so it costs the nodes little time, and a
//! violation is known a fraction of a second after the last answer that it needs. It never accuses too early, it does
//! not explain, and a key that is too much for it is left to the check at the end, which judges everything again.

use crate::recorder::Recorder;
use checker::Limits;
use history::Header;
use std::sync::Arc;
use std::time::Duration;
use workloads::{OnlineError, OnlineJudge, Workload};

/// Between two looks at what was recorded.
const PAUSE: Duration = Duration::from_millis(250);
/// What one key may take: about a second, so that nobody waits long for a look when the run ends. And the memory.
const LIMITS: Limits = Limits { steps: 50_000_000, bytes: 256 << 20 };

/// Why a watch ended.
#[derive(Debug)]
pub(super) enum Seen {
    /// What was recorded cannot be the work of a correct system.
    Violation,
    /// It cannot be told before the end, for this reason.
    Nothing(String),
}

/// Returns at the first violation, or when it is certain that none can be seen before the end.
pub(super) async fn watch(
    recorder: Arc<Recorder>,
    workload: &'static dyn Workload,
    header: Header,
) -> Seen {
    let Some(judge) = workload.online(&header, LIMITS) else {
        return Seen::Nothing(format!("workload {} is judged at the end only", workload.name()));
    };
    let mut eye = Eye { recorder, judge, seen: 0 };
    loop {
        tokio::time::sleep(PAUSE).await;
        let looked = tokio::task::spawn_blocking(move || {
            let looked = eye.look();
            (eye, looked)
        });
        match looked.await {
            Ok((_, Ok(true))) => return Seen::Violation,
            Ok((same, Ok(false))) => eye = same,
            Ok((_, Err(error))) => return Seen::Nothing(error.to_string()),
            Err(error) => return Seen::Nothing(error.to_string()),
        }
    }
}

struct Eye {
    recorder: Arc<Recorder>,
    judge: Box<dyn OnlineJudge>,
    /// How many events were taken in.
    seen: usize,
}

impl Eye {
    /// Takes in what is new; whether there is a violation.
    fn look(&mut self) -> Result<bool, OnlineError> {
        // Asked first: what is recorded later is later, and what was recorded before is among the events.
        let now = self.recorder.now();
        let fresh = self.recorder.events_from(self.seen);
        self.seen += fresh.len();
        for event in &fresh {
            self.judge.push(event)?;
        }
        if fresh.last().is_none_or(|last| last.time < now) {
            self.judge.wait(now)?;
        }
        Ok(self.judge.is_violated())
    }
}
