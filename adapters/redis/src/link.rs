use std::sync::Arc;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use wingbeat_adapter::{InboxLimits, InboxSender, Link, LinkOptions, Order, SyncError, inbox};

use crate::config::{Address, Deployment, PubSub, RedisConfig};
use crate::dialer::Dialer;
use crate::error;
use crate::outbound::RedisOutbound;
use crate::role;
use crate::tap::{Pulse, Tap};
use crate::topics::Topics;
use crate::watchdog::{self, Watchdog};

/// One attempt to open a link to one server.
pub(crate) struct Attempt<'a> {
    pub(crate) dialer: &'a Dialer,
    pub(crate) config: &'a RedisConfig,
    pub(crate) options: &'a LinkOptions,
    pub(crate) topics: &'a Arc<Topics>,
    pub(crate) address: &'a Address,
}

/// One of the two connections of a link.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) connection: MultiplexedConnection,
    pub(crate) pulse: Pulse,
}

impl Attempt<'_> {
    /// Opens both connections side by side and waits for both subscriptions.
    pub(crate) async fn open(&self) -> Result<Link, SyncError> {
        let (sender, inbox) = inbox(InboxLimits::default());
        let (publisher, subscriber) = tokio::try_join!(
            self.connect("publisher", &sender),
            self.subscribe("subscriber", &sender),
        )?;
        let outbound = RedisOutbound::new(
            publisher.clone(),
            Arc::clone(self.topics),
            self.options.clone(),
            sender.clone(),
        );
        let watchdog = Watchdog::new(self, [publisher, subscriber]);
        let inbound = watchdog::guard(inbox, sender, watchdog.watch());
        let mut link = Link::new(Box::new(outbound), inbound);
        // Links that meet on two servers of a cluster have no common order.
        link.order = match self.config.deployment {
            Deployment::Cluster(PubSub::Classic) => Order::PerOrigin,
            Deployment::Standalone
            | Deployment::Sentinel(_)
            | Deployment::Cluster(PubSub::Sharded) => Order::Total,
        };
        Ok(link)
    }

    async fn subscribe(&self, name: &'static str, inbox: &InboxSender) -> Result<Line, SyncError> {
        let mut line = self.connect(name, inbox).await?;
        let subscribed = subscribe(&mut line.connection, self.topics).await;
        subscribed.map_err(|error| error::connect_failed(error, self.address))?;
        Ok(line)
    }

    async fn connect(&self, name: &'static str, inbox: &InboxSender) -> Result<Line, SyncError> {
        let pulse = Pulse::default();
        let tap = Tap {
            connection: name,
            topics: Arc::clone(self.topics),
            inbox: inbox.clone(),
            pulse: pulse.clone(),
        };
        let failed = |error| error::connect_failed(error, self.address);
        let dialed = self.dialer.server(self.address, move |push| tap.take(push));
        let mut connection = dialed.await.map_err(failed)?;
        let role = role::ask(&mut connection, &role::hello(&self.options.name)).await;
        role.map_err(failed)?
            .check(self.address, self.config.allow_replica)?;
        Ok(Line {
            name,
            connection,
            pulse,
        })
    }
}

/// Resolves when both lanes are confirmed.
async fn subscribe(connection: &mut MultiplexedConnection, topics: &Topics) -> RedisResult<()> {
    let both = [&topics.events, &topics.control];
    match topics.pubsub {
        // One command for both lanes, so that both start at the same place in the broker's order.
        PubSub::Classic => connection.subscribe(&both).await,
        // The library would take the second confirmation of one command for the reply to the next one.
        PubSub::Sharded => {
            let mut pipeline = redis::pipe();
            for topic in both {
                pipeline.cmd("SSUBSCRIBE").arg(topic);
            }
            let replies = connection
                .send_packed_commands(&pipeline, 0, both.len())
                .await?;
            let refused = |reply: redis::Value| reply.extract_error().err();
            replies.into_iter().find_map(refused).map_or(Ok(()), Err)
        }
    }
}
