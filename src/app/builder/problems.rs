//! What may be wrong with the parts of an app.

use std::collections::HashSet;
use std::fmt;

use super::AppBuilder;
use crate::app::registered_path;
use crate::hooks::Hooks;
use crate::service::{Method, Registration, valid_event_name};
use crate::words::nearest;

/// Says what is wrong with the parts of an app, all of it.
pub struct BuildError(Vec<String>);

impl BuildError {
    pub(super) fn new(problems: Vec<String>) -> Self {
        Self(problems)
    }
}

/// A `main` that returns an error shows it in this form, so it reads like the other one.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for BuildError {}

impl AppBuilder {
    /// Names everything that is wrong, as far as it can be known without the adapter.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.path_problems();
        if self.config.max_connections == 0 {
            problems.push("max_connections is 0, so nobody could connect".to_owned());
        }
        if self.config.prefix.contains(['?', '#']) {
            let prefix = &self.config.prefix;
            problems.push(format!("prefix is '{prefix}', which is no path"));
        }
        if self.sync_options.sync_secret.as_deref() == Some("") {
            problems.push("sync_secret is empty, so everybody would know it".to_owned());
        }
        if self.ticket_secret.as_deref() == Some("") {
            problems.push("ticket_secret is empty, so everybody would know it".to_owned());
        }
        let paths = [&self.config.websocket_path, &self.config.events_path];
        for path in paths.into_iter().filter(|path| !path.is_empty()) {
            if !path.starts_with('/') {
                problems.push(format!("'{path}' is no path: it begins with '/'"));
            }
        }
        if self.sync_options.sync_secret.is_some() && !self.sync_options.codec.is_json() {
            let codec = &self.sync_options.codec;
            problems.push(format!(
                "sync_secret works with the codec json only, not with {codec}"
            ));
        }
        if tokio::runtime::Handle::try_current().is_err() {
            problems.push("an app is built inside a Tokio runtime".to_owned());
        }
        problems.extend(self.hook_problems(&self.hooks, "the app"));
        for (path, registration) in &self.services {
            problems.extend(self.hook_problems(&registration.hooks, path));
            problems.extend(event_problems(path, registration));
        }
        for event in self
            .publishers
            .named_events()
            .filter(|event| !Method::EVENTS.contains(&&***event))
        {
            problems.push(format!(
                "'{event}' is not a valid service event{}",
                hint(event, Method::EVENTS)
            ));
        }
        problems
    }

    fn path_problems(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let twice = self.services.iter().filter(|(path, _)| !seen.insert(path));
        let mut problems: Vec<String> = twice
            .map(|(path, _)| format!("two services stand at '{path}'"))
            .collect();
        for path in &self.sync_options.node_peers {
            let mut services = self.services.iter();
            let is_known = services.any(|(known, _)| known == registered_path(path));
            if !is_known && !self.open_paths.take(path) {
                let known = self.services.iter().map(|(known, _)| known.as_str());
                problems.push(format!(
                    "node_peers names '{path}', which is no service{}",
                    hint(path, known)
                ));
            }
        }
        problems
    }

    fn hook_problems(&self, hooks: &Hooks, place: &str) -> Vec<String> {
        let methods: Vec<&str> = self
            .services
            .iter()
            .flat_map(|(_, registration)| registration.methods.iter().map(|method| &**method))
            .chain(Method::STANDARD)
            .collect();
        let unknown = hooks
            .named_methods()
            .filter(|method| !methods.contains(&method.as_str()));
        unknown
            .map(|method| {
                format!(
                    "a hook of {place} names the unknown method '{method}'{}",
                    hint(method.as_str(), methods.iter().copied())
                )
            })
            .collect()
    }
}

fn event_problems(path: &str, registration: &Registration) -> Vec<String> {
    let published = registration.all_published_events();
    let unknown = registration
        .publishers
        .named_events()
        .filter(|event| !published.contains(event));
    let unknown = unknown.map(|event| {
        format!(
            "'{event}' is not a valid service event of '{path}'{}",
            hint(event, published.iter().map(|known| &**known))
        )
    });
    let forbidden = registration
        .custom_events
        .iter()
        .filter(|event| !valid_event_name(event));
    unknown
        .chain(
            forbidden.map(|event| format!("'{event}' can not be the name of an event of '{path}'")),
        )
        .collect()
}

fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known)
        .map(|nearest| format!(", did you mean '{nearest}'?"))
        .unwrap_or_default()
}
