use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use wingbeat_adapter::{
    BoxFuture, ErrorKind, InboxSender, Lane, LinkOptions, Outbound, Report, SyncError,
};

use crate::error;
use crate::line::Line;
use crate::subjects::Subjects;

/// The sending half of a link.
pub(crate) struct NatsOutbound {
    /// None after a failure or after `close`.
    line: Option<Line>,
    subjects: Arc<Subjects>,
    options: LinkOptions,
    inbox: InboxSender,
    /// The lanes on which the server has let a batch pass. It answers none, and what it forbids it says on the side.
    passes: [bool; 2],
    is_closed: bool,
}

impl NatsOutbound {
    pub(crate) fn new(
        line: Line,
        subjects: Arc<Subjects>,
        options: LinkOptions,
        inbox: InboxSender,
    ) -> Self {
        Self {
            line: Some(line),
            subjects,
            options,
            inbox,
            passes: [false; 2],
            is_closed: false,
        }
    }

    async fn send(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        if self.is_closed {
            return Err(SyncError::new(ErrorKind::Closed, "the link is closed"));
        }
        let sent = timeout(PUBLISH_TIMEOUT, self.send_all(lane, batch)).await;
        let sent = sent.unwrap_or_else(|_| Err(error::stalled(PUBLISH_TIMEOUT)));
        if let Err(error) = &sent {
            self.line = None;
            self.inbox.end(Some(error.clone()));
        }
        sent
    }

    async fn send_all(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        // What was denied when its batch had been let go is about the lane: this batch asks again.
        if self.line()?.signs.take_denial(lane).is_some() {
            self.passes[lane as usize] = false;
        }
        let mut report = self.hand_over(lane, batch).await?;
        if self.passes[lane as usize] || report.failed.len() == batch.len() {
            return Ok(report);
        }
        let line = self.line()?;
        line.settle().await?;
        match line.signs.take_denial(lane) {
            None => self.passes[lane as usize] = true,
            Some(denial) => refuse_rest(&mut report, batch.len(), &denial),
        }
        Ok(report)
    }

    async fn hand_over(&self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        let line = self.line()?;
        let mut report = Report::default();
        for (index, payload) in batch.iter().enumerate() {
            match self.options.check_payload(payload) {
                Ok(()) => {
                    let subject = self.subjects.of(lane).to_owned();
                    line.publish(subject, payload.clone()).await?;
                }
                Err(error) => report.failed.push((index, error)),
            }
        }
        line.flush().await?;
        Ok(report)
    }

    /// A link that hears nothing any more is no link, even if this half could go on.
    fn line(&self) -> Result<&Line, SyncError> {
        let line = self.line.as_ref().filter(|_| !self.inbox.is_ended());
        line.ok_or_else(|| error::gone("the link is over"))
    }

    /// Waits until the server has what was sent, because closing a socket may throw away what is on its way.
    async fn part(&mut self) -> Result<(), SyncError> {
        self.is_closed = true;
        let parted = match &self.line {
            Some(line) if !self.inbox.is_ended() => timeout(PARTING_TIMEOUT, line.settle()).await,
            _ => Ok(Ok(())),
        };
        self.inbox.end(None);
        self.line = None;
        parted.unwrap_or_else(|_| Err(error::stalled(PARTING_TIMEOUT)))
    }
}

/// Permissions are the subject's, so one denial is about the whole batch.
fn refuse_rest(report: &mut Report, count: usize, denial: &SyncError) {
    let too_large = std::mem::take(&mut report.failed);
    let mut too_large = too_large.into_iter().peekable();
    for index in 0..count {
        let known = too_large.next_if(|(failed, _)| *failed == index);
        report
            .failed
            .push(known.unwrap_or_else(|| (index, denial.clone())));
    }
}

impl Outbound for NatsOutbound {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(self.send(lane, batch))
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(self.part())
    }
}

/// The pump keeps the connection, so the connection's own end would not come.
impl Drop for NatsOutbound {
    fn drop(&mut self) {
        let context = "the sending half of the link was dropped";
        self.inbox.end(Some(error::gone(context)));
    }
}

impl fmt::Debug for NatsOutbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOutbound")
            .field("subjects", &self.subjects)
            .field("inbox", &self.inbox)
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}

/// Above the supervisor's own deadline for a publish, so that it decides first where there is one.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
const PARTING_TIMEOUT: Duration = Duration::from_secs(1);
