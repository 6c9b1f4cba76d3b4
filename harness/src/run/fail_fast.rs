//! `--fail-fast`: judges what was recorded so far, again and again, and ends the run at the first violation.
//!
//! A prefix of a history is a history in which some operations have not ended yet, and those may or may not have
//! happened; so a violation found here is one, however the run would have gone on. Only keys with new events are judged
//! again. A look takes at most a fifth of the time: the nodes need the processors more.

use crate::recorder::Recorder;
use checker::Limits;
use history::{Event, Header, History, Order, Process};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use workloads::{JudgeOptions, Workload};

/// Between the end of one look and the start of the next, at least.
const PAUSE: Duration = Duration::from_secs(1);
/// A pause is this many times as long as the look before it.
const PAUSE_PER_LOOK: u32 = 4;
/// The longest a look may take; what it leaves undecided is judged at the end.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// The memory of one look.
const LOOK_BYTES: u64 = 256 << 20;

/// Returns when what was recorded cannot be the work of a correct system; otherwise never.
pub(super) async fn watch(
    recorder: Arc<Recorder>,
    workload: &'static dyn Workload,
    header: Header,
) {
    let mut eye =
        Eye { workload, header, seen: 0, keys: BTreeMap::new(), changed: BTreeSet::new() };
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let started = Instant::now();
        let fresh = recorder.events_from(eye.seen);
        eye.take_in(fresh);
        let given_up = GiveUp(Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&given_up.0);
        let looked = tokio::task::spawn_blocking(move || {
            let violated = eye.look(&stop);
            (eye, violated)
        });
        match looked.await {
            Ok((_, true)) => return,
            Ok((same, false)) => eye = same,
            // The checker panicked. The check at the end will say so; nothing more to see here.
            Err(_) => return std::future::pending().await,
        }
        drop(given_up);
        pause = PAUSE.max(started.elapsed() * PAUSE_PER_LOOK);
    }
}

/// Tells the search to end when nobody waits for it any more.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Eye {
    workload: &'static dyn Workload,
    header: Header,
    /// How many events were taken in.
    seen: usize,
    keys: BTreeMap<Option<String>, Vec<Event>>,
    /// Keys with events that were not judged yet.
    changed: BTreeSet<Option<String>>,
}

impl Eye {
    fn take_in(&mut self, events: Vec<Event>) {
        self.seen += events.len();
        for event in events {
            if event.process == Process::Nemesis {
                continue;
            }
            self.changed.insert(event.key.clone());
            self.keys.entry(event.key.clone()).or_default().push(event);
        }
    }

    /// Judges the changed keys together; whether there is a violation.
    fn look(&mut self, given_up: &AtomicBool) -> bool {
        let mut events: Vec<Event> = std::mem::take(&mut self.changed)
            .iter()
            .filter_map(|key| self.keys.get(key))
            .flatten()
            .cloned()
            .collect();
        events.sort_by_key(|event| event.index);
        let Ok(history) = History::from_events(self.header.clone(), events, Order::Time) else {
            return false;
        };
        let end = std::time::Instant::now() + LOOK_LIMIT;
        let stop = || given_up.load(Ordering::Relaxed) || std::time::Instant::now() >= end;
        let options = JudgeOptions {
            limits: Limits { bytes: LOOK_BYTES, ..Limits::default() },
            stop: &stop,
            threads: 1,
            certify: false,
        };
        self.workload
            .judge(&history, &options)
            .is_ok_and(|judgement| judgement.ruling == checker::Ruling::Invalid)
    }
}
