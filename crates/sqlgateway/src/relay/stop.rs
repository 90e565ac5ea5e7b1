//! When sessions have to end: first those that nobody would miss, at last all.

use tokio::sync::watch;

/// Where a gateway is that stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It doesn't.
    Serving,
    /// Sessions end when nothing is under way in them.
    Draining,
    /// Sessions end.
    Over,
}

/// Hears when the gateway stops.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<Phase>);

/// Says when the gateway stops.
#[derive(Debug)]
pub(super) struct Stopper(watch::Sender<Phase>);

impl Stopper {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    pub(super) fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    pub(super) fn listen(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Stop {
    /// Waits for `phase`, or one after it.
    pub(super) async fn reached(&mut self, phase: Phase) {
        // Without its sender there is no gateway any more.
        let _phase = self.0.wait_for(|current| *current >= phase).await;
    }
}
