//! What the server says beside messages: refusals, warnings and last words.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Event, ServerError};
use tokio::sync::oneshot;
use wingbeat_adapter::{InboxSender, Lane, SyncError};

use crate::error;
use crate::subjects::Subjects;

/// Hears the events of a link's connection. The library calls it from a task of its own and in order.
#[derive(Debug)]
pub(crate) struct Signs {
    subjects: Arc<Subjects>,
    inbox: InboxSender,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// What the server said last that was no denial: as a rule, why it ends the connection.
    last_words: Option<ServerError>,
    no_subscribe: Option<ServerError>,
    no_publish: [Option<ServerError>; 2],
    /// Who waits for a word about which subject.
    waiting: Vec<(String, oneshot::Sender<()>)>,
}

/// An answer to one `SUB` or one `PUB` that the user has no permission for. The connection lives on.
#[derive(Debug, PartialEq, Eq)]
enum Denial<'a> {
    Subscribe(&'a str),
    Publish(&'a str),
}

impl Signs {
    pub(crate) fn new(subjects: Arc<Subjects>, inbox: InboxSender) -> Self {
        Self {
            subjects,
            inbox,
            heard: Mutex::default(),
        }
    }

    pub(crate) fn take(&self, event: Event) {
        match event {
            // The library says so for each message that found its queue full, and never how many it has not said.
            Event::SlowConsumer(_) => self.inbox.lost(1),
            Event::ServerError(error) => self.hear(error),
            // The server closes the connection when it is this one's turn, and only then the link is over.
            Event::LameDuckMode => tracing::info!("the NATS server is about to shut down"),
            // The end of the connection ends its subscriptions, behind what had arrived.
            Event::Connected
            | Event::Disconnected
            | Event::Draining
            | Event::Closed
            | Event::ClientError(_) => {}
        }
    }

    /// Waits for what the server says about a subject that is no lane's.
    pub(crate) fn expect(&self, subject: &str) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut heard = self.heard();
        // Some were cancelled.
        heard.waiting.retain(|(_, waiting)| !waiting.is_closed());
        heard.waiting.push((subject.to_owned(), sender));
        receiver
    }

    /// Returns why the link may not be opened although the connection stands.
    pub(crate) fn objection(&self) -> Option<SyncError> {
        let heard = self.heard();
        let said = heard.no_subscribe.as_ref().or(heard.last_words.as_ref())?;
        Some(error::objection(said.clone()))
    }

    /// Returns, once, that the user may not publish on a lane.
    pub(crate) fn take_denial(&self, lane: Lane) -> Option<SyncError> {
        let said = self.heard().no_publish[lane as usize].take()?;
        Some(error::denied(said))
    }

    /// Returns why the connection is gone.
    pub(crate) fn loss(&self) -> SyncError {
        error::lost(self.heard().last_words.clone())
    }

    fn hear(&self, said: ServerError) {
        let text = said.to_string();
        let mut heard = self.heard();
        let Some(denial) = Denial::read(&text) else {
            heard.last_words = Some(said);
            // Who asks must not wait for an answer that these words may have been.
            heard.waiting.clear();
            return;
        };
        let subject = denial.subject();
        heard.waiting.retain(|(about, _)| about != subject);
        match (self.subjects.lane_of(subject), denial) {
            (Some(lane), Denial::Publish(_)) => heard.no_publish[lane as usize] = Some(said),
            (Some(_), Denial::Subscribe(_)) => heard.no_subscribe = Some(said),
            (None, _) => {}
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Denial<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (_, what) = text.split_once("Permissions Violation for ")?;
        let subject = what.split('"').nth(1)?;
        if what.starts_with("Publish") {
            return Some(Self::Publish(subject));
        }
        what.starts_with("Subscription")
            .then_some(Self::Subscribe(subject))
    }

    fn subject(&self) -> &'a str {
        match self {
            Self::Subscribe(subject) | Self::Publish(subject) => subject,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};
    use wingbeat_adapter::{ErrorKind, Inbox, InboxLimits, Incoming, LinkOptions, inbox};

    use super::*;

    fn signs() -> (Signs, Inbox) {
        let subjects = Subjects::new(&LinkOptions::new("k")).unwrap();
        let (sender, inbox) = inbox(InboxLimits::default());
        (Signs::new(Arc::new(subjects), sender), inbox)
    }

    fn says(text: &str) -> Event {
        Event::ServerError(ServerError::Other(text.to_owned()))
    }

    #[test]
    fn denials_are_read_with_their_subject() {
        let read = |text| Denial::read(text);
        assert_eq!(
            read("nats: Permissions Violation for Publish to \"k.wb\""),
            Some(Denial::Publish("k.wb"))
        );
        assert_eq!(
            read("nats: Permissions Violation for Subscription to \"k\""),
            Some(Denial::Subscribe("k"))
        );
        assert_eq!(read("nats: Stale Connection"), None);
    }

    #[test]
    fn a_denied_lane_is_told_once_and_only_that_lane() {
        let (signs, _inbox) = signs();
        signs.take(says("Permissions Violation for Publish to \"k\""));
        assert!(signs.take_denial(Lane::Control).is_none());
        let error = signs.take_denial(Lane::Events).unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(signs.take_denial(Lane::Events).is_none());
        assert!(signs.objection().is_none(), "a listener is welcome");
    }

    #[test]
    fn a_denied_subscription_is_an_objection_and_a_denied_question_is_an_answer() {
        let (signs, _inbox) = signs();
        let answer = signs.expect("_INBOX.1");
        signs.take(says(
            "Permissions Violation for Subscription to \"_INBOX.1\"",
        ));
        assert!(answer.now_or_never().is_some());
        assert!(signs.objection().is_none());
        signs.take(says("Permissions Violation for Subscription to \"k.wb\""));
        assert_eq!(signs.objection().unwrap().kind(), ErrorKind::Refused);
    }

    #[test]
    fn last_words_answer_everybody_and_are_the_cause_of_the_loss() {
        let (signs, _inbox) = signs();
        let answer = signs.expect("_INBOX.1");
        signs.take(says("User Authentication Revoked"));
        assert!(answer.now_or_never().is_some());
        let loss = format!("{:?}", signs.loss());
        assert!(loss.starts_with("Unavailable: "), "{loss}");
        assert!(loss.contains("User Authentication Revoked"), "{loss}");
    }

    #[test]
    fn what_the_library_dropped_is_said() {
        let (signs, mut inbox) = signs();
        signs.take(Event::SlowConsumer(1));
        signs.take(Event::SlowConsumer(2));
        let item = inbox.next().now_or_never().flatten();
        assert_eq!(item.unwrap().unwrap(), Incoming::Lost(2));
    }
}
