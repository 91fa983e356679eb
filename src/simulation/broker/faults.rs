use rand::Rng;
use tokio::time::Instant;
use wingbeat_adapter::Lane;

use super::super::plan::{Fault, millis};
use super::{Conn, Deaf, State, Step};

/// How the broker and the ways to it break and heal.
impl State {
    pub(super) fn hurt(&mut self, fault: Fault) {
        match fault {
            Fault::Cut(place) => {
                self.broken.cut.insert(place);
                self.end_all(|conn| conn.place == place);
            }
            Fault::Down => {
                self.broken.is_down = true;
                self.end_all(|_| true);
            }
            Fault::Deaf(place) => {
                self.broken.deaf.insert(place);
                for index in self.open_conns(place) {
                    self.conns[index].deaf = Some(self.deafness());
                }
            }
            Fault::Mute(place) => {
                self.broken.mute.insert(place);
                for index in self.open_conns(place) {
                    self.conns[index].mute = Some(self.muteness());
                }
            }
            Fault::Lose(place, n) => {
                for index in self.open_conns(place) {
                    self.conns[index].loses += n;
                }
            }
            Fault::Alone(place) => _ = self.broken.alone.insert(place),
            Fault::Freeze => self.broken.is_frozen = true,
            Fault::Lag { is_control, by } => {
                let lane = if is_control {
                    Lane::Control
                } else {
                    Lane::Events
                };
                self.broken.lag = Some((lane, millis(by)));
            }
            Fault::Refuse => self.broken.refuses = true,
        }
    }

    pub(super) fn heal(&mut self, fault: Fault) {
        match fault {
            Fault::Cut(place) => _ = self.broken.cut.remove(&place),
            Fault::Deaf(place) => {
                self.broken.deaf.remove(&place);
                self.hear_again(place);
            }
            Fault::Mute(place) => _ = self.broken.mute.remove(&place),
            Fault::Alone(place) => _ = self.broken.alone.remove(&place),
            Fault::Down => self.broken.is_down = false,
            Fault::Freeze => self.thaw(),
            Fault::Lag { .. } => self.broken.lag = None,
            Fault::Refuse => self.broken.refuses = false,
            Fault::Lose(..) => {}
        }
    }

    /// What stalled arrives; what was dropped is gone, and the link stays deaf: only another one hears.
    fn hear_again(&mut self, place: usize) {
        for conn in self.conns.iter_mut().filter(|conn| conn.place == place) {
            match conn.deaf.take() {
                Some(Deaf::Stalls(stalled)) => {
                    for (lane, payload) in stalled {
                        conn.arrive(lane, payload);
                    }
                }
                deaf => conn.deaf = deaf,
            }
        }
    }

    fn thaw(&mut self) {
        self.broken.is_frozen = false;
        for step in std::mem::take(&mut self.backlog) {
            self.step(step);
        }
        for conn in self.conns.iter_mut().filter(|conn| !conn.is_open) {
            conn.is_subscribed = false;
        }
    }

    fn end_all(&mut self, is_meant: impl Fn(&Conn) -> bool) {
        for index in 0..self.conns.len() {
            let conn = &mut self.conns[index];
            if is_meant(conn) && conn.is_open {
                conn.is_subscribed = false;
                let at = Instant::now() + millis(self.rng.random_range(0..40));
                self.plan(at, Step::End(index));
            }
        }
    }

    fn open_conns(&self, place: usize) -> Vec<usize> {
        let is_open =
            |index: &usize| self.conns[*index].place == place && self.conns[*index].is_open;
        (0..self.conns.len()).filter(is_open).collect()
    }
}
