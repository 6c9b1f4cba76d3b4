//! Ctrl-C and SIGTERM: the first asks a run to heal, stop and judge what it has; the second to leave at once.
//!
//! There is one [`Signals`] for the whole command, listening before the first run starts anything and until the last
//! one has ended: whenever a signal arrives, in whichever phase or between two runs, it is counted, and whoever looks
//! next sees it. The handlers only count. Nothing is ever done inside one.

use crate::exit::Failure;
use std::sync::mpsc;
use std::{io, thread};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How many signals arrived; shared by everything that must end early.
#[derive(Clone, Debug)]
pub struct Signals {
    count: watch::Receiver<u32>,
}

impl Signals {
    /// Starts counting, on a thread of its own. From here on the process survives both signals.
    ///
    /// # Errors
    /// When the operating system refuses a thread or a handler.
    pub fn listen() -> Result<Self, Failure> {
        let refused = |e: io::Error| Failure::environment(format!("signals cannot be caught: {e}"));
        let (counted, count) = watch::channel(0);
        let (ready, listening) = mpsc::channel();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                // Nobody hears an answer that comes too late.
                let _ = match runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime.block_on(listen(&ready, &counted)),
                    Err(error) => ready.send(Err(error)),
                };
            })
            .map_err(refused)?;
        match listening.recv() {
            Ok(Ok(())) => Ok(Self { count }),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(refused(io::Error::other("the thread that listens ended"))),
        }
    }

    /// Whether at least one signal arrived.
    #[must_use]
    pub fn any(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Returns once `wanted` signals have arrived.
    pub(super) fn reached(&self, wanted: u32) -> impl Future<Output = ()> + Send + use<> {
        let mut count = self.count.clone();
        async move {
            if count.wait_for(|count| *count >= wanted).await.is_err() {
                // The listener is gone, and no signal will ever be counted.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Says on `ready` that it listens, and counts for ever.
async fn listen(
    ready: &mpsc::Sender<io::Result<()>>,
    counted: &watch::Sender<u32>,
) -> Result<(), mpsc::SendError<io::Result<()>>> {
    let (mut interrupt, mut terminate) = match handlers() {
        Ok(handlers) => handlers,
        Err(error) => return ready.send(Err(error)),
    };
    ready.send(Ok(()))?;
    loop {
        let received = tokio::select! {
            received = interrupt.recv() => received,
            received = terminate.recv() => received,
        };
        if received.is_none() {
            return Ok(());
        }
        counted.send_modify(|count| *count += 1);
    }
}

fn handlers() -> io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}
