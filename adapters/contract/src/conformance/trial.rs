use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::leaks::Leaks;
use super::peer::Peer;
use super::{Access, Facts, Fault, Harness, Proxy};
use crate::{Lane, LinkOptions, SyncAdapter, SyncError};

/// One run of one check: a harness of its own and topics that no other run has.
pub(super) struct Trial {
    harness: Box<dyn Harness>,
    pub(super) facts: Facts,
    pub(super) options: LinkOptions,
    pub(super) wrong_password: String,
    pub(super) leaks: Leaks,
}

/// What a check comes to.
pub(super) type Verdict<T = ()> = Result<T, Stop>;

/// Why a check does not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(String),
    NotApplicable(&'static str),
}

impl Trial {
    pub(super) fn new(harness: impl Harness) -> Self {
        let facts = harness.facts();
        let run = random();
        let mut options = LinkOptions::new(format!("conformance-{run:016x}"));
        options.name = format!("conformance-{run:016x}");
        let wrong_password = format!("wrong-{run:016x}");
        let secrets = facts.password.iter().chain([&wrong_password]).cloned();
        Self {
            leaks: Leaks::new(secrets.collect()),
            harness: Box::new(harness),
            facts,
            options,
            wrong_password,
        }
    }

    /// An adapter for the broker itself.
    pub(super) fn adapter(&self) -> Verdict<Arc<dyn SyncAdapter>> {
        self.adapter_at(self.facts.port.unwrap_or_default())
    }

    /// An adapter for whatever is at this port.
    pub(super) fn adapter_at(&self, port: u16) -> Verdict<Arc<dyn SyncAdapter>> {
        let password = self.facts.password.clone().unwrap_or_default();
        self.adapter_with(port, password)
    }

    pub(super) fn adapter_with(
        &self,
        port: u16,
        password: String,
    ) -> Verdict<Arc<dyn SyncAdapter>> {
        match self.harness.adapter(&Access { port, password }) {
            Ok(adapter) => Ok(adapter),
            Err(error) => fail(format!("the harness makes no adapter: {error:?}")),
        }
    }

    /// A proxy before the broker and an adapter that goes through it.
    pub(super) fn through_a_proxy(&self) -> Verdict<(Proxy, Arc<dyn SyncAdapter>)> {
        let proxy = Proxy::start(self.port()?);
        let adapter = self.adapter_at(proxy.port())?;
        Ok((proxy, adapter))
    }

    pub(super) fn port(&self) -> Verdict<u16> {
        const WHY: &str = "the broker has no port that a proxy could stand before";
        self.facts.port.ok_or(Stop::NotApplicable(WHY))
    }

    pub(super) fn password(&self) -> Verdict<&str> {
        const WHY: &str = "the broker asks for no password";
        self.facts
            .password
            .as_deref()
            .ok_or(Stop::NotApplicable(WHY))
    }

    pub(super) async fn inflict(&self, fault: Fault) -> Verdict {
        let can = match fault {
            Fault::Kill | Fault::Start => self.facts.can_kill,
            Fault::Freeze | Fault::Thaw => self.facts.can_freeze,
        };
        if !can {
            return Err(Stop::NotApplicable("the harness cannot hurt its broker so"));
        }
        self.harness.inflict(fault).await;
        Ok(())
    }

    pub(super) async fn holdings(&self) -> usize {
        self.harness.holdings().await
    }

    /// Waits until the broker holds no more than it did.
    pub(super) async fn is_freed(&self, before: usize) -> Verdict {
        let deadline = Instant::now() + self.facts.patience;
        loop {
            let now = self.holdings().await;
            if now <= before {
                return Ok(());
            }
            if Instant::now() > deadline {
                let left = now - before;
                return fail(format!(
                    "the broker still holds {left} more than before the links"
                ));
            }
            sleep(TICK).await;
        }
    }

    /// Opens a link to the run's topics on a broker that is well.
    pub(super) async fn open(&self, adapter: &Arc<dyn SyncAdapter>) -> Verdict<Peer> {
        self.open_as(adapter, &self.options).await
    }

    pub(super) async fn open_as(
        &self,
        adapter: &Arc<dyn SyncAdapter>,
        options: &LinkOptions,
    ) -> Verdict<Peer> {
        match self.try_open(adapter, options).await? {
            Ok(peer) => Ok(peer),
            Err(error) => fail(format!(
                "`connect` fails though the broker is well: {error:?}"
            )),
        }
    }

    /// Opens a link or not, in its time.
    pub(super) async fn try_open(
        &self,
        adapter: &Arc<dyn SyncAdapter>,
        options: &LinkOptions,
    ) -> Verdict<Result<Peer, SyncError>> {
        // The options bound it; the rest is for a machine that is busy with other tests.
        let limit = options.connect_timeout + self.facts.patience;
        match timeout(limit, adapter.connect(options)).await {
            Ok(Ok(link)) => {
                let speaker = format!("{:016x}", random());
                Ok(Ok(Peer::new(link, speaker, self.facts.patience)))
            }
            Ok(Err(error)) => Ok(Err(error)),
            Err(_) => fail(format!("`connect` takes longer than {limit:?}")),
        }
    }

    /// Opens links of one adapter that hear each other.
    pub(super) async fn peers<const N: usize>(&self) -> Verdict<[Peer; N]> {
        let adapter = self.adapter()?;
        let mut peers = Vec::with_capacity(N);
        for _ in 0..N {
            peers.push(self.open(&adapter).await?);
        }
        let Ok(mut peers) = <[Peer; N]>::try_from(peers) else {
            return fail("the suite opened another number of links than it wanted");
        };
        self.warm_up(&mut peers.each_mut()).await?;
        Ok(peers)
    }

    /// Opens a link through a proxy and one to the broker itself that hear each other.
    pub(super) async fn split(&self) -> Verdict<Split> {
        let (proxy, adapter) = self.through_a_proxy()?;
        let mut behind = self.open(&adapter).await?;
        let mut direct = self.open(&self.adapter()?).await?;
        self.warm_up(&mut [&mut behind, &mut direct]).await?;
        Ok(Split {
            proxy,
            adapter,
            behind,
            direct,
        })
    }

    /// Opens a link and loses it: by a cut line where there is one, or else with its broker.
    pub(super) async fn lost(&self) -> Verdict<(Peer, Option<Proxy>)> {
        if self.facts.port.is_none() {
            let peer = self.open(&self.adapter()?).await?;
            self.inflict(Fault::Kill).await?;
            return Ok((peer, None));
        }
        let (proxy, adapter) = self.through_a_proxy()?;
        let peer = self.open(&adapter).await?;
        proxy.cut();
        Ok((peer, Some(proxy)))
    }

    /// Lets links talk until each was heard by another. That this takes no second word is what clause 5 says, and its
    /// checks ask for that; the others shall not fail for it.
    pub(super) async fn warm_up(&self, peers: &mut [&mut Peer]) -> Verdict {
        let deadline = Instant::now() + self.facts.patience;
        while !peers.iter().all(|peer| peer.ear.is_warm()) {
            if Instant::now() > deadline {
                return fail("links of one topic do not hear each other");
            }
            for peer in peers.iter_mut() {
                for lane in LANES {
                    let greeting = peer.ear.warm_up(lane);
                    peer.say(lane, &[greeting]).await?;
                }
            }
            for peer in peers.iter_mut() {
                peer.ear.linger(TICK).await;
            }
        }
        Ok(())
    }

    /// Opens a link or not until it does, as the supervisor would.
    pub(super) async fn open_again(&self, adapter: &Arc<dyn SyncAdapter>) -> Verdict<Peer> {
        let deadline = Instant::now() + self.facts.patience;
        loop {
            match self.try_open(adapter, &self.options).await? {
                Ok(peer) => return Ok(peer),
                Err(error) if Instant::now() > deadline => {
                    return fail(format!("`connect` still fails after a loss: {error:?}"));
                }
                Err(_) => sleep(TICK).await,
            }
        }
    }
}

/// Two links of one topic, one of them behind a proxy.
pub(super) struct Split {
    pub(super) proxy: Proxy,
    pub(super) adapter: Arc<dyn SyncAdapter>,
    pub(super) behind: Peer,
    pub(super) direct: Peer,
}

pub(super) fn fail<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(why.into()))
}

/// Says why a check failed unless this holds.
pub(super) fn require(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { fail(why()) }
}

/// Drops a future unless it is done by then. Finer than a timer, of which a tick is longer than many a step.
pub(super) async fn cancelled_after<F: Future>(future: F, after: Duration) -> Option<F::Output> {
    let start = Instant::now();
    let passing = async {
        while start.elapsed() < after {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        output = future => Some(output),
        () = passing => None,
    }
}

/// Payloads that say who sent them and which one they are.
pub(super) fn numbered(prefix: &str, count: usize) -> Vec<Bytes> {
    (0..count)
        .map(|n| Bytes::from(format!("{prefix}{n}")))
        .collect()
}

/// The hash of nothing by a fresh random key.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

pub(super) const LANES: [Lane; 2] = [Lane::Events, Lane::Control];
/// How long a check listens for what should not come.
pub(super) const GRACE: Duration = Duration::from_millis(250);
pub(super) const TICK: Duration = Duration::from_millis(20);
