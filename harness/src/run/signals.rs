//! Ctrl-C and SIGTERM: the first asks a run to heal, stop and judge what it has; the second to leave at once.
//!
//! The handlers only count. Nothing is ever done inside one.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How many signals arrived; shared by everything that must end early.
pub(super) struct Signals {
    count: watch::Receiver<u32>,
    listener: JoinHandle<()>,
}

impl Signals {
    /// Starts counting. To be called on the runtime; from here on the process survives both signals.
    pub(super) fn listen() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let (counted, count) = watch::channel(0);
        let listener = tokio::spawn(listen(interrupt, terminate, counted));
        Ok(Self { count, listener })
    }

    /// Returns once `wanted` signals have arrived.
    pub(super) fn reached(&self, wanted: u32) -> impl Future<Output = ()> + Send + use<> {
        let mut count = self.count.clone();
        async move {
            if count.wait_for(|count| *count >= wanted).await.is_err() {
                // The listener is gone, and with it the run.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, count: watch::Sender<u32>) {
    loop {
        let received = tokio::select! {
            received = interrupt.recv() => received,
            received = terminate.recv() => received,
        };
        if received.is_none() {
            return;
        }
        count.send_modify(|count| *count += 1);
    }
}
