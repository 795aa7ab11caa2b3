//! Signals: the first asks an apply to come to an end, the second to stop at once.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::console::Console;
use super::exit::Exit;
use crate::apply::Stop;

/// Listens to SIGINT and SIGTERM for as long as it lives.
#[derive(Debug)]
pub struct Signals {
    orders: Arc<watch::Sender<Stop>>,
    stop: watch::Receiver<Stop>,
    caught: watch::Receiver<Option<Exit>>,
    listener: tokio::task::JoinHandle<()>,
}

impl Signals {
    /// Begins to listen.
    #[must_use]
    pub fn listen(console: Console) -> Self {
        let (orders, stop_heard) = watch::channel(Stop::No);
        let orders = Arc::new(orders);
        let stop = Arc::clone(&orders);
        let (caught, caught_heard) = watch::channel(None);
        let listener = tokio::spawn(async move {
            let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
                // Without handlers the signals end the process as they always did.
                return;
            };
            for next in [Stop::Drain, Stop::Now] {
                let exit = tokio::select! {
                    _ = int.recv() => Exit::Interrupted,
                    _ = term.recv() => Exit::Terminated,
                };
                caught.send_if_modified(|seen| seen.is_none() && seen.replace(exit).is_none());
                console.talk(match next {
                    Stop::Now => "stopping now; what was under way is not known",
                    Stop::No | Stop::Drain => {
                        "interrupted: nothing new is started, what is under way is awaited; once more to stop at once"
                    }
                });
                stop.send_replace(next);
            }
        });
        Self { orders, stop: stop_heard, caught: caught_heard, listener }
    }

    /// What an apply looks at.
    pub const fn stop(&mut self) -> &mut watch::Receiver<Stop> {
        &mut self.stop
    }

    /// For whoever else may ask for an end.
    #[must_use]
    pub fn orders(&self) -> Arc<watch::Sender<Stop>> {
        Arc::clone(&self.orders)
    }

    /// Waits until somebody asks for an end at once.
    pub async fn at_once(&mut self) {
        if self.stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until somebody asks for an end.
    pub async fn asked(&mut self) {
        if self.stop.wait_for(|stop| *stop != Stop::No).await.is_err() {
            // Without handlers nobody can ask.
            std::future::pending::<()>().await;
        }
    }

    /// The exit of the first signal, if one came.
    #[must_use]
    pub fn caught(&self) -> Option<Exit> {
        *self.caught.borrow()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
