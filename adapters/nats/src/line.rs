use std::sync::Arc;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use wingbeat_adapter::SyncError;

use crate::error;
use crate::signs::Signs;

/// The one connection of a link, and what its server says beside messages.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) client: Client,
    pub(crate) signs: Arc<Signs>,
}

impl Line {
    /// Resolves when the server has dealt with everything that was sent before, and what it said to that was heard.
    ///
    /// The answer and what the server said come by two ways through the library. The second round gives the way of the
    /// words time; what is later still is only late.
    pub(crate) async fn settle(&self) -> Result<(), SyncError> {
        self.ask().await?;
        self.ask().await
    }

    /// Makes one round trip, for which the library has no means: its flush ends at the socket.
    ///
    /// We send a message to ourselves, on a subject that nobody else knows. A server that forbids this answers as
    /// well, so the user needs no permission for it.
    async fn ask(&self) -> Result<(), SyncError> {
        let subject = self.client.new_inbox();
        let word = self.signs.expect(&subject);
        let subscribed = self.client.subscribe(subject.clone()).await;
        let mut echo = subscribed.map_err(error::not_sent)?;
        self.publish(subject, Bytes::new()).await?;
        tokio::select! {
            message = echo.next() => message.map(drop).ok_or_else(|| self.signs.loss()),
            _ = word => Ok(()),
        }
    }

    /// Hands a message to the library, which takes it at once unless thousands wait already.
    pub(crate) async fn publish(&self, subject: String, payload: Bytes) -> Result<(), SyncError> {
        let published = self.client.publish(subject, payload).await;
        published.map_err(error::not_sent)
    }

    /// Resolves when everything is in the hands of the operating system; or early, if that takes nothing at all. Then the
    /// library's queue fills up, and a later publish waits.
    pub(crate) async fn flush(&self) -> Result<(), SyncError> {
        let flushed = self.client.flush().await;
        flushed.map_err(|_| self.signs.loss())
    }
}
