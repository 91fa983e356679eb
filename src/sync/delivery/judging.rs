use std::time::Duration;

use super::Core;
use super::closing::Phase;
use super::divergence::Source;
use super::io::{Body, DropReason, LinkId, Output};
use super::link::Link;
use super::stats::{Gap, GapReason, Origin, Status};
use super::time::Time;

/// What time and the end of links do. Time is judged in a tick only, after the shell has handed in all that is readable.
impl<E, B: Body> Core<E, B> {
    /// When the shell has to tick at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        if self.phase == Phase::Closed {
            return None;
        }
        let pulse = self.ticked + self.config.timing.pulse;
        let own = [
            self.slot_deadline(),
            self.echo_deadline(),
            self.repair.due(),
            self.bye_deadline(),
        ];
        let link = self
            .link
            .iter()
            .flat_map(|link| link.deadlines(self.hello_span(), &self.config.timing));
        let wants = self
            .peers
            .iter()
            .filter_map(|(_, peer)| peer.want_at())
            .filter(|_| self.is_free());
        own.into_iter()
            .flatten()
            .chain(link)
            .chain(wants)
            .filter(|at| *at > self.ticked)
            .chain([pulse])
            .min()
    }

    pub(super) fn tick(&mut self, now: Time) {
        self.ticked = now;
        self.trim_log(now);
        self.judge_link(now);
        self.judge_peers(now);
        self.judge_orders(now);
        self.judge_strangers(now);
        self.judge_bye(now);
    }

    pub(super) fn link_up(&mut self, now: Time, link: LinkId) {
        self.is_dialing = false;
        if self.phase == Phase::Closed {
            return self.output(Output::DropLink {
                link,
                reason: DropReason::Closed,
            });
        }
        if let Some(old) = self.link.take() {
            self.output(Output::DropLink {
                link: old.id,
                reason: DropReason::Replaced,
            });
        }
        self.stats.links += 1;
        self.sent_marks.clear();
        let nonce = self.nonce();
        self.nonces.add(nonce);
        self.link = Some(Link::new(link, nonce, now));
        self.gap(Gap::new(Origin::Foreign, None, GapReason::NewLink));
    }

    pub(super) fn dial_failed(&mut self) {
        if std::mem::take(&mut self.is_dialing) && self.phase != Phase::Closed {
            self.dial();
        }
    }

    pub(super) fn link_down(&mut self, now: Time, link: LinkId) {
        if self.link.as_ref().is_some_and(|current| current.id == link) {
            self.lose_link(now);
        }
    }

    /// Whether the present link hears itself.
    pub(super) fn is_proven(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.proven.is_some())
    }

    /// What peers can be expected to have heard of us: what had been sent two intervals ago on this link.
    pub(super) fn heard_by_now(&self, now: Time) -> Option<u64> {
        let patience = self.peers.patience(&self.config);
        self.sent_marks
            .iter()
            .rev()
            .find(|(at, _)| now.since(*at) >= patience)
            .map(|(_, sent)| *sent)
    }

    pub(super) fn drop_link(&mut self, now: Time, reason: DropReason) {
        let Some(link) = self.link.as_ref().map(|link| link.id) else {
            return;
        };
        self.stats.links_dropped += 1;
        self.output(Output::DropLink { link, reason });
        self.lose_link(now);
    }

    fn lose_link(&mut self, now: Time) {
        let Some(link) = self.link.take() else { return };
        if link.has_lived(now, &self.config.timing) {
            self.backoff.reset();
        }
        self.repair.clear();
        if self.phase != Phase::Closed {
            self.link_lost_status();
            self.dial();
        }
    }

    /// A first link that never heard itself was none.
    fn link_lost_status(&mut self) {
        if self.status != Status::Connecting {
            self.set_status(Status::Reconnecting);
        }
    }

    fn dial(&mut self) {
        if !self.is_dialing {
            self.is_dialing = true;
            let after = self.backoff.next(&mut self.rng, &self.config.timing);
            self.output(Output::Dial { after });
        }
    }

    fn judge_link(&mut self, now: Time) {
        let Some(link) = &self.link else { return };
        let fault = link.fault(
            now,
            self.log.owed_since(link.id),
            self.hello_span(),
            &self.config.timing,
        );
        if let Some(reason) = fault.or_else(|| self.deaf_peers(now)) {
            self.drop_link(now, reason);
        } else if matches!(self.status, Status::Ready | Status::Replaying) && self.is_late(now) {
            self.mark = self.log.end();
            self.set_status(Status::Degraded);
        }
    }

    /// A demoted replica shows us to ourselves and to nobody else. Another dial may lead to the primary.
    fn deaf_peers(&mut self, now: Time) -> Option<DropReason> {
        let span = self.peers.patience(&self.config).mul_f64(1.5);
        let is_early = self
            .redialed
            .is_some_and(|at| now.since(at) < self.config.timing.redial_every);
        if is_early || !self.is_proven() || !self.peers.are_deaf(now, span) {
            return None;
        }
        self.redialed = Some(now);
        Some(DropReason::PeersDeaf)
    }

    /// Silence and holes count only while we hear ourselves: a peer cannot answer a node that has no link.
    fn judge_peers(&mut self, now: Time) {
        let up = self.link.as_ref().and_then(|link| link.proven);
        if up.is_some() {
            for freed in self.peers.judge_holes(now, &self.config) {
                self.give(freed);
            }
        }
        for node in self.peers.leavers(now, up, &self.config) {
            if let Some((freed, is_over)) = self.peers.depart(node, &self.config) {
                self.stats.departed += 1;
                self.stats.departed_dropped += u64::from(is_over);
                self.give(freed);
            }
        }
    }

    /// Tells the app which services have clients that may hold another state than those of other nodes.
    fn judge_orders(&mut self, now: Time) {
        for (service, source) in self.divergence.due(now, &self.config) {
            let path = self.config.services.get(service).cloned();
            let origin = self.origin(source);
            let gap = Gap::new(origin, None, GapReason::Diverged);
            self.gap(Gap { path, ..gap });
        }
    }

    fn origin(&self, source: Source) -> Origin {
        let (node, name) = match source {
            Source::Foreign => return Origin::Foreign,
            Source::Us => (self.config.node, self.config.name.as_str()),
            Source::Peer(node) => (node, self.peers.get(node).map_or("", |peer| &peer.name)),
        };
        Origin::Node {
            node,
            name: name.into(),
        }
    }

    /// How long an own hello may stay away.
    fn hello_span(&self) -> Duration {
        self.peers.patience(&self.config) + self.config.timing.hello_slack
    }

    fn slot_deadline(&self) -> Option<Time> {
        self.slots
            .head()
            .map(|slot| slot.since + self.config.timing.echo_deadline)
    }

    /// The next of the two times at which the oldest echo becomes late and then too late.
    fn echo_deadline(&self) -> Option<Time> {
        let since = self.log.owed_since(self.link.as_ref()?.id)?;
        let late = since + self.config.timing.echo_deadline;
        Some(if late > self.ticked {
            late
        } else {
            since + self.config.timing.link_deadline
        })
    }

    fn is_free(&self) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.proven.is_some() && link.flight.is_none())
    }
}
