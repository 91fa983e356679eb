use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Subscriber};
use wingbeat_adapter::{InboxLimits, Lane, Link, LinkOptions, Order, SyncError, inbox};

use crate::config::Address;
use crate::dialer::Dialer;
use crate::error;
use crate::line::Line;
use crate::outbound::NatsOutbound;
use crate::pump::Pump;
use crate::signs::Signs;
use crate::subjects::Subjects;

/// One attempt to open a link to one server.
pub(crate) struct Attempt<'a> {
    pub(crate) dialer: &'a Dialer,
    pub(crate) options: &'a LinkOptions,
    pub(crate) subjects: &'a Arc<Subjects>,
    pub(crate) address: &'a Address,
    pub(crate) share: Duration,
}

impl Attempt<'_> {
    /// Opens the connection and waits until the server has dealt with both subscriptions.
    pub(crate) async fn open(&self) -> Result<Link, SyncError> {
        let (sender, inbox) = inbox(InboxLimits::default());
        let signs = Arc::new(Signs::new(Arc::clone(self.subjects), sender.clone()));
        let client = self.dialer.dial(self, &signs).await?;
        let options = limited(self.options, &client);
        let line = Line { client, signs };
        Pump {
            events: self.subscribe(&line, Lane::Events).await?,
            control: self.subscribe(&line, Lane::Control).await?,
            inbox: sender.clone(),
            signs: Arc::clone(&line.signs),
        }
        .start();
        let settled = line.settle().await;
        // Words are more than the end that they announce.
        line.signs.objection().map_or(settled, Err)?;

        let lower = options.max_payload < self.options.max_payload;
        let limit = lower.then_some(options.max_payload);
        let subjects = Arc::clone(self.subjects);
        let outbound = NatsOutbound::new(line, subjects, options, sender);
        let mut link = Link::new(Box::new(outbound), inbox.boxed());
        link.order = Order::PerOrigin;
        link.max_payload = limit;
        Ok(link)
    }

    async fn subscribe(&self, line: &Line, lane: Lane) -> Result<Subscriber, SyncError> {
        let subject = self.subjects.of(lane).to_owned();
        let subscribed = line.client.subscribe(subject).await;
        subscribed.map_err(error::not_sent)
    }
}

/// A server cuts the connection of whoever exceeds its limit, so the lower one of the two stands.
fn limited(options: &LinkOptions, client: &Client) -> LinkOptions {
    let mut options = options.clone();
    match client.server_info().max_payload {
        0 => {}
        limit => options.max_payload = options.max_payload.min(limit),
    }
    options
}
