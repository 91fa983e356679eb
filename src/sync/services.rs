//! The services of this app, as envelopes know them.

use std::collections::HashMap;
use std::sync::Arc;

use super::SyncMode;
use crate::app::registered_path;

/// The names that envelopes share instead of having copies of their own, and which way events of each service go.
#[derive(Debug)]
pub(crate) struct Services {
    by_path: HashMap<Arc<str>, Service>,
    /// By the places of services: the properties that are dates.
    dates: Vec<Vec<Arc<str>>>,
    events: [Arc<str>; 4],
}

/// What sync has to know of a service of this app.
#[derive(Debug)]
pub(crate) struct SharedService {
    pub(crate) path: Arc<str>,
    pub(crate) mode: SyncMode,
    /// The properties that are dates, for a codec that has dates.
    pub(crate) dates: Vec<Arc<str>>,
}

/// A service of this app, as an envelope knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its place among the services.
    pub(super) place: usize,
    pub(super) mode: SyncMode,
}

impl Services {
    pub(crate) fn new(services: impl IntoIterator<Item = SharedService>) -> Self {
        let (mut by_path, mut dates) = (HashMap::new(), Vec::new());
        for (place, service) in services.into_iter().enumerate() {
            let mode = service.mode;
            by_path.insert(service.path, Service { place, mode });
            dates.push(service.dates);
        }
        Self {
            by_path,
            dates,
            events: ["created", "updated", "patched", "removed"].map(Arc::from),
        }
    }

    /// Returns the paths by their places.
    pub(super) fn paths(&self) -> Vec<Arc<str>> {
        let mut paths: Vec<_> = self.by_path.iter().collect();
        paths.sort_by_key(|(_, service)| service.place);
        paths
            .into_iter()
            .map(|(path, _)| Arc::clone(path))
            .collect()
    }

    /// Finds the service that a peer speaks of; the path of one that is not here is copied.
    pub(super) fn find(&self, path: &str) -> (Arc<str>, Option<Service>) {
        let path = registered_path(path);
        match self.by_path.get_key_value(path) {
            Some((path, service)) => (Arc::clone(path), Some(*service)),
            None => (path.into(), None),
        }
    }

    /// Returns the properties of a service that are dates.
    pub(super) fn dates(&self, service: Option<Service>) -> &[Arc<str>] {
        let dates = service.and_then(|service| self.dates.get(service.place));
        dates.map_or(&[], Vec::as_slice)
    }

    /// Returns the name of an event; one that not every service has is copied.
    pub(super) fn event(&self, name: &str) -> Arc<str> {
        let standard = self.events.iter().find(|event| &***event == name);
        standard.map_or_else(|| name.into(), Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_registered_is_shared_and_what_is_not_is_copied() {
        let services = Services::new(["users", "messages"].map(|path| SharedService {
            path: path.into(),
            mode: SyncMode::Both,
            dates: Vec::new(),
        }));
        let (path, service) = services.find("/messages/");
        assert!(Arc::ptr_eq(&path, &services.paths()[1]));
        assert_eq!(service.map(|service| service.place), Some(1));
        assert_eq!(services.find("/other"), ("other".into(), None));
        assert!(Arc::ptr_eq(
            &services.event("created"),
            &services.event("created")
        ));
        assert_eq!(&*services.event("typing"), "typing");
    }
}
