//! How fast one client may send.

use std::time::Duration;

use tokio::time::Instant;

use crate::app::Config;
use crate::connections::CloseReason;

/// What a client has sent of late: a token bucket for messages and one for bytes, each kept as the time at which it is full
/// again.
#[derive(Debug)]
pub(super) struct Rates {
    messages: Instant,
    bytes: Instant,
}

impl Rates {
    /// Starts with full buckets; `None` when the node has no limit, so that a client's memory has none of this.
    pub(super) fn of(config: &Config) -> Option<Box<Self>> {
        let is_limited =
            config.max_messages_per_second.is_some() || config.max_bytes_per_second.is_some();
        let now = Instant::now();
        is_limited.then(|| {
            Box::new(Self {
                messages: now,
                bytes: now,
            })
        })
    }

    /// Takes a message from its bucket, which holds ten seconds of them.
    ///
    /// # Errors
    /// The reason to close the client when there is none left.
    pub(super) fn message(&mut self, config: &Config) -> Result<(), CloseReason> {
        let fits = (config.max_messages_per_second)
            .is_none_or(|rate| take(&mut self.messages, 1, (rate, 0)));
        fits.then_some(()).ok_or(CloseReason::TooManyMessages)
    }

    /// Takes bytes from their bucket, which holds ten seconds of them, or twice `max_message` if that is more.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub(super) fn bytes(&mut self, n: usize, config: &Config) -> Result<(), CloseReason> {
        let least = config.max_message.saturating_mul(2);
        let fits = (config.max_bytes_per_second)
            .is_none_or(|rate| take(&mut self.bytes, n, (rate, least)));
        fits.then_some(()).ok_or(CloseReason::TooManyBytes)
    }
}

/// Takes `n` from a bucket that is filled at `rate` and holds `least` at least; false when it has less.
fn take(full_at: &mut Instant, n: usize, (rate, least): (usize, usize)) -> bool {
    let now = Instant::now();
    let room = time(rate.max(1).saturating_mul(BURST).max(least), rate);
    let missing = full_at.saturating_duration_since(now);
    let missing = missing.saturating_add(time(n, rate));
    let fits = missing <= room;
    if fits {
        *full_at = now.checked_add(missing).unwrap_or(*full_at);
    }
    fits
}

/// Returns how long it takes until so much is filled in.
fn time(n: usize, rate: usize) -> Duration {
    let (n, rate) = (n as u64, rate.max(1) as u64);
    let nanoseconds = u128::from(n % rate) * 1_000_000_000 / u128::from(rate);
    Duration::new(n / rate, u32::try_from(nanoseconds).unwrap_or(0))
}

/// Seconds that a bucket holds.
const BURST: usize = 10;

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn limited(messages: Option<usize>, bytes: Option<usize>) -> (Config, Box<Rates>) {
        let config = Config {
            max_messages_per_second: messages,
            max_bytes_per_second: bytes,
            max_message: 100,
            ..Config::default()
        };
        let rates = Rates::of(&config).unwrap();
        (config, rates)
    }

    fn n_taken(rates: &mut Rates, config: &Config) -> usize {
        (0..).take_while(|_| rates.message(config).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_seconds_may_come_at_once_and_then_no_more_than_is_filled_in() {
        let (config, mut rates) = limited(Some(7), None);
        assert_eq!(n_taken(&mut rates, &config), 70);
        advance(Duration::from_secs(1)).await;
        assert_eq!(n_taken(&mut rates, &config), 7);
        advance(Duration::from_secs(1_000)).await;
        assert_eq!(n_taken(&mut rates, &config), 70);
        assert_eq!(rates.message(&config), Err(CloseReason::TooManyMessages));
        assert_eq!(rates.bytes(usize::MAX, &config), Ok(()), "not limited");
    }

    #[tokio::test(start_paused = true)]
    async fn two_of_the_largest_messages_fit_whatever_the_rate() {
        let (config, mut rates) = limited(None, Some(1));
        assert_eq!(rates.bytes(200, &config), Ok(()));
        assert_eq!(rates.bytes(1, &config), Err(CloseReason::TooManyBytes));
        advance(Duration::from_secs(1)).await;
        assert_eq!(rates.bytes(2, &config), Err(CloseReason::TooManyBytes));
        assert_eq!(
            rates.bytes(1, &config),
            Ok(()),
            "what was refused cost nothing"
        );
        let (config, mut rates) = limited(None, Some(1_000));
        assert_eq!(rates.bytes(10_000, &config), Ok(()));
        assert_eq!(rates.bytes(1, &config), Err(CloseReason::TooManyBytes));
    }

    #[tokio::test(start_paused = true)]
    async fn no_setting_makes_it_panic_and_none_costs_memory() {
        assert!(Rates::of(&Config::default()).is_none());
        for rate in [0, 1, usize::MAX] {
            let (config, mut rates) = limited(Some(rate), Some(rate));
            for _ in 0..20 {
                let _ = rates.message(&config);
                let _ = rates.bytes(usize::MAX, &config);
                advance(Duration::from_secs(1)).await;
            }
        }
    }
}
