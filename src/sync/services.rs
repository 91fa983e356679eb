//! The services of this app, as envelopes know them.

use std::collections::HashMap;
use std::sync::Arc;

use super::{OpenPaths, SyncMode};
use crate::app::registered_path;

/// The names that envelopes share instead of having copies of their own, and which way events of each service go.
#[derive(Debug)]
pub(crate) struct Services {
    by_path: HashMap<Arc<str>, Service>,
    by_place: Vec<SharedService>,
    open_paths: OpenPaths,
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
        let by_place: Vec<SharedService> = services.into_iter().collect();
        let by_path = by_place.iter().enumerate().map(|(place, service)| {
            let mode = service.mode;
            (Arc::clone(&service.path), Service { place, mode })
        });
        Self {
            by_path: by_path.collect(),
            by_place,
            open_paths: OpenPaths::default(),
            events: ["created", "updated", "patched", "removed"].map(Arc::from),
        }
    }

    /// Takes events of other paths, too, while `open_paths` does.
    pub(crate) fn with_open_paths(self, open_paths: OpenPaths) -> Self {
        Self { open_paths, ..self }
    }

    /// Returns the paths by their places.
    pub(super) fn paths(&self) -> Vec<Arc<str>> {
        let paths = self.by_place.iter().map(|service| &service.path);
        paths.cloned().collect()
    }

    /// Finds the service that a peer speaks of; the path of one that is not here is copied.
    pub(super) fn find(&self, path: &str) -> (Arc<str>, Option<Service>) {
        let path = registered_path(path);
        match self.by_path.get_key_value(path) {
            Some((path, service)) => (Arc::clone(path), Some(*service)),
            None => (path.into(), self.open_paths.take(path).then(|| self.open())),
        }
    }

    /// Returns the service at a place.
    pub(super) fn at(&self, place: usize) -> Option<Service> {
        if place == self.by_place.len() {
            return Some(self.open());
        }
        let mode = self.by_place.get(place)?.mode;
        Some(Service { place, mode })
    }

    /// Returns what stands for all paths without a service, behind the last place.
    fn open(&self) -> Service {
        Service {
            place: self.by_place.len(),
            mode: SyncMode::Both,
        }
    }

    /// Returns the properties of a service that are dates.
    pub(super) fn dates(&self, service: Option<Service>) -> &[Arc<str>] {
        let service = service.and_then(|service| self.by_place.get(service.place));
        service.map_or(&[], |service| service.dates.as_slice())
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
        let open_paths = OpenPaths::default();
        open_paths.open();
        let services = services.with_open_paths(open_paths);
        let (path, service) = services.find("/other");
        assert_eq!((&*path, service), ("other", services.at(2)));
        assert_eq!(services.find("authentication").1, None);
        assert!(Arc::ptr_eq(
            &services.event("created"),
            &services.event("created")
        ));
        assert_eq!(&*services.event("typing"), "typing");
    }
}
