use std::time::Duration;

use rand::Rng;
use wingbeat_adapter::Lane;

use super::Core;
use super::io::{BatchId, Body, Failure, Item, LinkId, Output, Publish};
use super::link::{Flight, Part};
use super::message::{Bye, Control, Hello, VERSION, Void, Want, Wb, last_of, spans};
use super::stats::Status;
use super::time::{Time, clock, millis};

/// What goes to the broker: one batch at a time, made of what is true at that moment.
///
/// Hellos, voids and wants are not queued but made when a batch can go, so nothing piles up behind a slow broker.
impl<E, B: Body> Core<E, B> {
    /// Hands the next batch to the shell if none is out.
    pub(super) fn pump(&mut self, now: Time) {
        let Some(link) = self.link.as_ref().filter(|link| link.flight.is_none()) else {
            return;
        };
        let is_open = link.proven.is_some()
            && !self.phase.is_leaving()
            && self.status != Status::Incompatible;
        let batch = self
            .control(now)
            .or_else(|| if is_open { self.data(now) } else { None });
        if let Some((lane, items)) = batch {
            self.publish(now, lane, items);
        }
    }

    /// Takes the report on a batch. What was taken is not settled by it: brokers say yes to nobody, too.
    pub(super) fn published(
        &mut self,
        now: Time,
        (link, batch): (LinkId, BatchId),
        failed: &[(usize, Failure)],
    ) {
        let current = self.link.as_mut().filter(|current| current.id == link);
        let flight =
            current.and_then(|current| current.flight.take_if(|flight| flight.batch == batch));
        let Some(flight) = flight else {
            self.stats.stale += 1;
            return;
        };
        for (place, failure) in failed {
            if let Some(part) = flight.parts.get(*place) {
                self.not_taken(now, part, *failure);
            }
        }
        self.said_bye(now, &flight.parts);
    }

    fn publish(&mut self, now: Time, lane: Lane, items: Vec<Item<B>>) {
        let Some(link) = &mut self.link else { return };
        let batch = BatchId(self.next_batch);
        self.next_batch += 1;
        link.flight = Some(Flight {
            batch,
            since: now,
            parts: items.iter().map(Part::from).collect(),
        });
        let link = link.id;
        self.output(Output::Publish(Publish {
            link,
            batch,
            lane,
            items,
        }));
    }

    fn not_taken(&mut self, now: Time, part: &Part, failure: Failure) {
        match (part, failure) {
            (Part::Event(seq), Failure::Permanent) => self.refused_for_good(*seq),
            (Part::Event(seq), Failure::Transient) => self.retry(now, *seq),
            // The repeated form is larger than the first. Who lacks it now will lack it for good.
            (Part::Again(seq), Failure::Permanent) => _ = self.voids.insert(*seq),
            (_, Failure::Permanent) => self.stats.control_refused += 1,
            (part, Failure::Transient) => self.control_again(now, part),
        }
    }

    fn retry(&mut self, now: Time, seq: u64) {
        self.stats.refused_for_now += 1;
        if let Some(link) = &mut self.link {
            link.retries
                .insert(seq, now + self.config.timing.retry_after);
        }
    }

    fn control_again(&mut self, now: Time, part: &Part) {
        self.stats.refused_for_now += 1;
        match part {
            Part::Hello => self.hello_soon(now + self.config.timing.retry_after),
            Part::Void(seqs, false) => self
                .voids
                .extend(seqs.iter().flat_map(|&(from, to)| from..=to)),
            // Who wants something asks again, and what nobody asks for again is not missed.
            Part::Void(..) | Part::Want | Part::Again(_) | Part::Event(_) | Part::Bye => {}
        }
    }

    fn control(&mut self, now: Time) -> Option<(Lane, Vec<Item<B>>)> {
        let mut items = Vec::new();
        if self.phase.is_leaving() {
            items.push(self.bye());
        } else {
            items.extend(self.hello_if_due(now));
            items.extend(self.void());
            items.extend(self.wants(now));
        }
        let items: Vec<_> = items.into_iter().map(Item::Control).collect();
        (!items.is_empty()).then_some((Lane::Control, items))
    }

    fn data(&mut self, now: Time) -> Option<(Lane, Vec<Item<B>>)> {
        let link = self.link.as_mut()?;
        link.answers_next = !link.answers_next;
        if link.answers_next {
            self.events(now).or_else(|| self.answers(now))
        } else {
            self.answers(now).or_else(|| self.events(now))
        }
    }

    fn hello_if_due(&mut self, now: Time) -> Option<Control> {
        let link = self.link.as_mut().filter(|link| link.hello.is_due(now))?;
        let (nonce, echoed) = (link.nonce, link.echoed());
        let interval = self
            .config
            .timing
            .interval(&self.config.limits, self.peers.len());
        let next = match echoed {
            Some(_) => interval.mul_f64(self.rng.random_range(0.9..1.0)),
            None => self.config.timing.echo_deadline,
        };
        link.hello.sent(now, now + next);
        self.mark_sent(now, interval / 2);
        Some(Control::Hello(Hello {
            node: self.config.node,
            name: self.config.name.clone(),
            v: VERSION,
            codec: self.config.codec.clone(),
            nonce,
            ear: echoed.map(|echoed| millis(now.since(echoed))),
            low: self.log.low(),
            sent: last_of(self.log.sent()),
            assigned: last_of(self.log.end()),
            heard: self.peers.heard(&self.config),
        }))
    }

    /// Remembers now and then what had been sent, to judge later what peers say they heard.
    fn mark_sent(&mut self, now: Time, distance: Duration) {
        if self
            .sent_marks
            .back()
            .is_none_or(|(at, _)| now.since(*at) >= distance)
        {
            if self.sent_marks.len() == 8 {
                self.sent_marks.pop_front();
            }
            self.sent_marks.push_back((now, self.log.sent()));
        }
    }

    fn void(&mut self) -> Option<Control> {
        let is_proven = self.link.as_ref().is_some_and(|link| link.proven.is_some());
        if self.voids.is_empty() || !is_proven {
            return None;
        }
        let mut seqs = spans(std::mem::take(&mut self.voids));
        let rest = seqs.split_off(seqs.len().min(super::hold::MAX_SKIPS));
        self.voids
            .extend(rest.into_iter().flat_map(|(from, to)| from..=to));
        Some(Control::Void(Void {
            node: self.config.node,
            to: None,
            asked: None,
            seqs,
        }))
    }

    fn wants(&mut self, now: Time) -> Vec<Control> {
        if self.link.as_ref().is_none_or(|link| link.proven.is_none()) {
            return Vec::new();
        }
        let served = now.since(self.built) + self.config.timing.service_slack;
        let (every, rng) = (self.config.timing.want_every, &mut self.rng);
        let wants = self.peers.wants(now, &self.config, || {
            now + every.mul_f64(rng.random_range(0.8..1.2))
        });
        self.stats.wants_sent += wants.len() as u64;
        let from_node = self.config.node;
        let want = |(of_node, (from, to))| Want {
            from_node,
            of_node,
            from,
            to,
            max_age: millis(served),
            asked: clock(now),
        };
        wants.into_iter().map(want).map(Control::Want).collect()
    }

    fn bye(&self) -> Control {
        Control::Bye(Bye {
            node: self.config.node,
            sent: last_of(self.log.sent()),
        })
    }

    fn answers(&mut self, now: Time) -> Option<(Lane, Vec<Item<B>>)> {
        let answer = self.repair.answer(now, &mut self.log, &self.config);
        if answer.needs_hello {
            self.hello_soon(now);
        }
        let is_again = |item: &&Item<B>| matches!(item, Item::Again { .. });
        let repeated = answer.items.iter().filter(is_again).count() as u64;
        if repeated > 0 {
            self.repeated_at = Some(now);
        }
        self.stats.repeated += repeated;
        (!answer.items.is_empty()).then_some((Lane::Control, answer.items))
    }

    /// The next own events for one lane: first what the broker refused for the moment, else what is next in the log.
    fn events(&mut self, now: Time) -> Option<(Lane, Vec<Item<B>>)> {
        let (lane, seqs) = self.pick_retries(now).or_else(|| self.pick_next())?;
        let items = seqs
            .into_iter()
            .filter_map(|seq| self.event(now, seq))
            .collect();
        Some((lane, items))
    }

    fn pick_retries(&mut self, now: Time) -> Option<(Lane, Vec<u64>)> {
        let (link, log) = (self.link.as_mut()?, &self.log);
        link.retries.retain(|seq, _| !log.is_settled(*seq));
        let due: Vec<u64> = link
            .retries
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(seq, _)| *seq)
            .collect();
        let picked = self.pick(due.into_iter())?;
        let link = self.link.as_mut()?;
        link.retries.retain(|seq, _| !picked.1.contains(seq));
        Some(picked)
    }

    fn pick_next(&mut self) -> Option<(Lane, Vec<u64>)> {
        let cursor = self.link.as_ref()?.cursor.max(self.log.unsettled());
        let (lane, seqs) = self.pick(cursor..self.log.end())?;
        let link = self.link.as_mut()?;
        link.cursor = seqs.last().map_or(cursor, |last| last + 1);
        Some((lane, seqs))
    }

    /// The first of `seqs` that go into one batch: unsettled, of one lane, within the bounds.
    fn pick(&self, seqs: impl Iterator<Item = u64>) -> Option<(Lane, Vec<u64>)> {
        let limits = &self.config.limits;
        let (mut lane, mut picked, mut bytes) = (None, Vec::new(), 0);
        let open = seqs.filter_map(|seq| {
            self.log
                .get(seq)
                .filter(|entry| !entry.settled)
                .map(|entry| (seq, entry))
        });
        for (seq, entry) in open {
            bytes += entry.size;
            let is_over = picked.len() >= limits.batch_items
                || (bytes > limits.batch_bytes && !picked.is_empty());
            if is_over || *lane.get_or_insert(entry.lane) != entry.lane {
                break;
            }
            picked.push(seq);
        }
        lane.map(|lane| (lane, picked))
    }

    fn event(&mut self, now: Time, seq: u64) -> Option<Item<B>> {
        let link = self.link.as_ref()?;
        let since = link.proven.unwrap_or(now);
        let is_resent = self.log.mark_sent(seq, link.id, now);
        self.stats.sent += 1;
        self.stats.resent += u64::from(is_resent);
        let entry = self.log.get(seq)?;
        let is_late = is_resent
            || entry.emitted < since
            || now.since(entry.emitted) >= self.config.timing.echo_deadline;
        let age = is_late.then(|| millis(now.since(entry.emitted)));
        let wb = Wb {
            v: VERSION,
            node: self.config.node,
            seq,
            age,
            early: entry.early,
        };
        Some(Item::Event {
            wb,
            body: entry.body.clone()?,
        })
    }

    pub(super) fn hello_soon(&mut self, at: Time) {
        if let Some(link) = &mut self.link {
            link.hello.hurry(at, &self.config.timing);
        }
    }
}
