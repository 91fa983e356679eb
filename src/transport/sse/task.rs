//! The task of one connection.

use std::future::poll_fn;

use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use super::body::Sender;
use super::format::{HEARTBEAT, farewell};
use crate::app::App;
use crate::connections::{CloseReason, Outbox};
use crate::transport::caller::Caller;
use crate::transport::serve::HangUp;
use crate::transport::websocket::{GOODBYE, beats};

/// Serves a client until it goes or has to.
pub(super) async fn serve(mut caller: Caller, sender: Sender, hang_up: Option<HangUp>) {
    let app = caller.app().clone();
    let reason = match caller.connection().cloned() {
        Some(connection) => feed(&app, connection.outbox(), &sender).await,
        None => CloseReason::Gone,
    };
    tracing::debug!(?reason, "a stream of events ends");
    app.counters().count_end(reason);
    let mut last = caller.end(reason);
    match reason {
        // Who does not read would not see the end of the body either.
        CloseReason::Slow => hang_up.into_iter().for_each(|hang_up| hang_up.hang_up()),
        CloseReason::Gone => {}
        _ => {
            last.push(farewell());
            let _ = timeout(GOODBYE, sender.send(last)).await;
        }
    }
}

/// Hands over what waits whenever there is room for it.
async fn feed(app: &App, outbox: &Outbox, sender: &Sender) -> CloseReason {
    let mut beat = heartbeat(app);
    loop {
        let permit = tokio::select! {
            biased;
            reason = poll_fn(|cx| outbox.poll_closed(cx)) => return reason,
            permit = sender.reserve() => permit,
        };
        let Ok(permit) = permit else {
            return CloseReason::Gone;
        };
        let mut frames = Vec::new();
        tokio::select! {
            biased;
            () = sender.closed() => return CloseReason::Gone,
            // Also when it is closed, which the next turn sees.
            _ = poll_fn(|cx| outbox.poll_drain(cx, &mut frames)) => {}
            _ = beat.tick() => frames.push(Bytes::from_static(HEARTBEAT)),
        }
        permit.send(frames);
    }
}

fn heartbeat(app: &App) -> Interval {
    let (interval, _) = beats(app.config());
    let interval = interval.max(std::time::Duration::from_millis(1));
    let mut beat = interval_at(Instant::now() + interval, interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}
