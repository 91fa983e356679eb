//! Events in the order in which they came, until somebody asks for them.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::TestError;

/// What was heard and not asked for. It keeps up to 100,000 events; with one more it ends, and every wait says so.
pub(super) struct Inbox<E> {
    state: Mutex<State<E>>,
    changed: Notify,
}

struct State<E> {
    events: VecDeque<E>,
    /// Why nothing comes any more.
    end: Option<String>,
}

/// An event, for those who look for one or name it.
pub(super) trait Heard {
    /// Returns path and name as in a frame: `messages created`.
    fn title(&self) -> String;

    /// Returns the data as JSON.
    fn text(&self) -> String;
}

impl<E: Heard> Inbox<E> {
    pub(super) fn push(&self, event: E) {
        self.state.lock().push(event);
        self.changed.notify_waiters();
    }

    /// Says why nothing comes any more; the first reason counts.
    pub(super) fn end(&self, why: impl Into<String>) {
        self.state.lock().end.get_or_insert_with(|| why.into());
        self.changed.notify_waiters();
    }

    /// Returns why nothing comes any more.
    pub(super) fn ended(&self) -> Option<String> {
        self.state.lock().end.clone()
    }

    /// Waits for an event of a title and takes it out; those before it stay.
    pub(super) async fn take(&self, title: &str, deadline: Duration) -> Result<E, TestError> {
        let what = format!("no event '{title}'");
        self.wait(&what, deadline, |event| event.title() == title)
            .await
    }

    /// Waits for the next event, whatever it is.
    pub(super) async fn next(&self, deadline: Duration) -> Result<E, TestError> {
        self.wait("no event", deadline, |_| true).await
    }

    /// Waits for as long as it is told and wants to hear nothing, nor to have heard anything that was not asked for.
    pub(super) async fn nothing(&self, within: Duration) -> Result<(), TestError> {
        let came = match timeout(within, self.first(|_| true)).await {
            Err(_) => return Ok(()),
            Ok(Some(event)) => describe(&event),
            Ok(None) => self.ended().unwrap_or_default(),
        };
        let awaited = format!("no event was to come in {within:?}, but: {came}");
        Err(TestError::new(awaited))
    }

    async fn wait(
        &self,
        what: &str,
        deadline: Duration,
        is_wanted: impl Fn(&E) -> bool,
    ) -> Result<E, TestError> {
        let taken = timeout(deadline, self.first(is_wanted)).await;
        taken.ok().flatten().ok_or_else(|| {
            let state = self.state.lock();
            let why = state.end.clone();
            let why = why.map_or_else(|| format!(" in {deadline:?}"), |why| format!(": {why}"));
            TestError::new(format!("{what}{why}; {}", state.instead()))
        })
    }

    /// Takes the first event that is wanted; `None` when it can not come any more.
    async fn first(&self, is_wanted: impl Fn(&E) -> bool) -> Option<E> {
        loop {
            // Before the look, so that nothing falls between the two.
            let changed = self.changed.notified();
            match self.state.lock().look(&is_wanted) {
                Look::Found(event) => return Some(event),
                Look::Over => return None,
                Look::NotYet => {}
            }
            changed.await;
        }
    }
}

enum Look<E> {
    Found(E),
    NotYet,
    Over,
}

impl<E: Heard> State<E> {
    /// Keeps an event, unless one before it was lost.
    fn push(&mut self, event: E) {
        if self.end.is_some() {
            return;
        }
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        } else {
            let full = format!("more than {MAX_EVENTS} events came that nobody asked for");
            self.end = Some(full);
        }
    }

    fn look(&mut self, is_wanted: impl Fn(&E) -> bool) -> Look<E> {
        let found = self.events.iter().position(is_wanted);
        match found.and_then(|at| self.events.remove(at)) {
            Some(event) => Look::Found(event),
            None if self.end.is_some() => Look::Over,
            None => Look::NotYet,
        }
    }

    /// Says what was heard and not asked for, at most ten events of it.
    fn instead(&self) -> String {
        if self.events.is_empty() {
            return "nothing else was heard".to_owned();
        }
        let mut named: Vec<String> = self.events.iter().take(MAX_NAMED).map(describe).collect();
        if self.events.len() > MAX_NAMED {
            named.push(format!("and {} more", self.events.len() - MAX_NAMED));
        }
        format!("heard instead: {}", named.join(", "))
    }
}

/// Writes `'messages created' {…}`.
fn describe<E: Heard>(event: &E) -> String {
    let text = event.text();
    let cut = text.char_indices().nth(MAX_TEXT);
    let text = cut.map_or_else(|| text.clone(), |(at, _)| format!("{}…", &text[..at]));
    format!("'{}' {text}", event.title())
}

impl<E> Default for Inbox<E> {
    fn default() -> Self {
        let state = State {
            events: VecDeque::new(),
            end: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }
}

impl<E> fmt::Debug for Inbox<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Inbox")
            .field("events", &state.events.len())
            .field("end", &state.end)
            .finish()
    }
}

const MAX_EVENTS: usize = 100_000;
/// Events that an error names.
const MAX_NAMED: usize = 10;
/// Characters of the data that an error shows of each.
const MAX_TEXT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    impl Heard for usize {
        fn title(&self) -> String {
            format!("rooms {}", ["even", "odd"][self % 2])
        }

        fn text(&self) -> String {
            self.to_string()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_inbox_says_so_once_what_it_has_is_taken() {
        let inbox = Inbox::default();
        for n in 0..=MAX_EVENTS {
            inbox.push(n);
        }
        for n in 0..MAX_EVENTS {
            assert_eq!(inbox.next(DEADLINE).await.unwrap(), n);
        }
        // There is room again, but what comes now comes behind a hole.
        inbox.push(1);
        let error = inbox.next(DEADLINE).await.unwrap_err().to_string();
        let expected =
            "no event: more than 100000 events came that nobody asked for; nothing else was heard";
        assert_eq!(error, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_a_wait_loses_nothing() {
        let inbox = Inbox::default();
        inbox.push(1);
        let odd = timeout(DEADLINE, inbox.take("rooms even", DEADLINE * 2));
        assert!(odd.await.is_err());
        inbox.push(3);
        assert_eq!(inbox.take("rooms odd", DEADLINE).await.unwrap(), 1);
        assert_eq!(
            inbox.nothing(DEADLINE).await.unwrap_err().to_string(),
            "no event was to come in 5s, but: 'rooms odd' 3"
        );
        inbox.nothing(DEADLINE).await.unwrap();
    }

    const DEADLINE: Duration = Duration::from_secs(5);
}
