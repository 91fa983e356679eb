//! Which service answers a path (feathers.md §0.4).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{AnyService, Id, Method, SyncContext};
use crate::channels::Publishers;
use crate::hooks::Chains;
use crate::sync::{OpenPaths, SyncMode};

/// One registered service with all that belongs to it.
pub(crate) struct Entry {
    /// Its place among the services of the app, in the order in which they were added.
    pub(crate) place: usize,
    pub(crate) path: Arc<str>,
    pub(crate) service: Arc<dyn AnyService>,
    pub(crate) methods: Vec<Arc<str>>,
    pub(crate) custom_events: Vec<Arc<str>>,
    pub(crate) published_events: Vec<Arc<str>>,
    pub(crate) route_params: Map<String, Value>,
    pub(crate) chains: Chains,
    pub(crate) publishers: Publishers,
    pub(crate) sync_context: Option<SyncContext>,
    pub(crate) sync_mode: SyncMode,
    pub(crate) redacted: Vec<Arc<str>>,
    pub(crate) dates: Vec<Arc<str>>,
    /// Whether it stands for all paths without a service: its events have any path and any name.
    pub(crate) is_open: bool,
}

impl Entry {
    /// Tells whether clients may call the method.
    pub(crate) fn offers(&self, method: &str) -> bool {
        self.methods.iter().any(|offered| &**offered == method)
    }

    /// Tells whether the data of a client's call may stay the text that it came as.
    pub(crate) fn takes_text(&self, method: &Method) -> bool {
        self.needs_no_values() && self.chains.pass_text(method.as_str())
    }

    /// Tells whether nothing that leaves the process depends on values.
    pub(crate) fn needs_no_values(&self) -> bool {
        self.sync_context.is_none() && self.redacted.is_empty()
    }

    /// Returns the name of an event; one that the service does not publish is copied.
    pub(crate) fn event_name(&self, name: &str) -> Arc<str> {
        let mut published = self.published_events.iter();
        let known = published.find(|published| &***published == name);
        known.map_or_else(|| name.into(), Arc::clone)
    }

    /// Returns the path of an event that was emitted under `path`.
    pub(crate) fn event_path(&self, path: &str) -> Arc<str> {
        if self.is_open {
            return path.into();
        }
        Arc::clone(&self.path)
    }

    /// Tells whether the event goes to clients.
    pub(crate) fn publishes(&self, event: &str) -> bool {
        let mut published = self.published_events.iter();
        self.is_open || published.any(|published| &**published == event)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The tree of paths; each service stands at its path and at `path/:__id`.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    root: Branch,
    by_path: HashMap<Arc<str>, Arc<Entry>>,
    by_place: Vec<Arc<Entry>>,
    /// What stands for all paths without a service, behind the last place.
    open: Option<Arc<Entry>>,
    open_paths: OpenPaths,
}

/// What a path leads to.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    pub(crate) entry: &'a Entry,
    pub(crate) params: Map<String, Value>,
}

#[derive(Debug, Default)]
struct Branch {
    literals: HashMap<String, Self>,
    placeholders: Vec<(String, Self)>,
    entry: Option<Arc<Entry>>,
}

impl Routes {
    /// Adds a service behind those that are there; [`Entry::place`] is set here.
    pub(crate) fn insert(&mut self, entry: Entry) {
        let place = self.by_place.len();
        let entry = Arc::new(Entry { place, ..entry });
        let leaf =
            segments(&entry.path).fold(&mut self.root, |branch, segment| branch.child(segment));
        leaf.entry = Some(Arc::clone(&entry));
        leaf.child(ID_PLACEHOLDER).entry = Some(Arc::clone(&entry));
        self.by_place.push(Arc::clone(&entry));
        self.by_path.insert(Arc::clone(&entry.path), entry);
    }

    /// Finds the service that answers a path as a client writes it.
    pub(crate) fn lookup(&self, path: &str) -> Option<Route<'_>> {
        let path = stripped(path);
        // Most paths are the very name of a service, and the tree would come to the same.
        if let Some(entry) = self.registered(path).filter(|_| !path.contains(':')) {
            return Some(Route {
                params: entry.route_params.clone(),
                entry,
            });
        }
        let segments: Vec<&str> = segments(path).collect();
        let mut values = Vec::new();
        let entry = self.root.descend(&segments, &mut values)?;
        let mut params = entry.route_params.clone();
        // The innermost placeholder stands first, as in Feathers.
        params.extend(
            values
                .into_iter()
                .rev()
                .map(|(name, value)| (name.to_owned(), value.into())),
        );
        Some(Route { entry, params })
    }

    /// Sets what stands for all paths without a service, once every service is there.
    pub(crate) fn set_open(&mut self, entry: Entry, open_paths: OpenPaths) {
        let place = self.by_place.len();
        self.open = Some(Arc::new(Entry { place, ..entry }));
        self.open_paths = open_paths;
    }

    /// Returns whether events of paths without a service are taken.
    pub(crate) fn open_paths(&self) -> &OpenPaths {
        &self.open_paths
    }

    /// Returns what stands for all paths without a service, taken or not.
    pub(crate) fn open_entry(&self) -> Option<&Arc<Entry>> {
        self.open.as_ref()
    }

    /// Finds what stands for the events of a path: its service, or what stands for all without one.
    pub(crate) fn of_events(&self, path: &str) -> Option<&Arc<Entry>> {
        let open = || self.open.as_ref().filter(|_| self.open_paths.take(path));
        self.registered(path).or_else(open)
    }

    /// Finds a service by the path under which it is registered.
    pub(crate) fn registered(&self, path: &str) -> Option<&Arc<Entry>> {
        self.by_path.get(path)
    }

    /// Returns the service of a call, which has been found.
    pub(crate) fn entry(&self, place: usize) -> &Entry {
        &self.by_place[place]
    }

    /// Returns the service at a place.
    pub(crate) fn at(&self, place: usize) -> Option<&Arc<Entry>> {
        let open = || self.open.as_ref().filter(|open| open.place == place);
        self.by_place.get(place).or_else(open)
    }

    /// Returns the services by their places.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_place.iter()
    }
}

impl Route<'_> {
    /// Takes the id out of the params, where a REST call has it.
    pub(crate) fn take_id(&mut self) -> Option<Id> {
        match self.params.shift_remove("__id") {
            Some(Value::String(id)) => Some(Id::Text(id)),
            _ => None,
        }
    }
}

impl Branch {
    fn child(&mut self, segment: &str) -> &mut Self {
        let Some(name) = segment.strip_prefix(':') else {
            return self.literals.entry(segment.to_owned()).or_default();
        };
        let at = self
            .placeholders
            .iter()
            .position(|(known, _)| known == name)
            .unwrap_or_else(|| {
                self.placeholders.push((name.to_owned(), Self::default()));
                self.placeholders.len() - 1
            });
        &mut self.placeholders[at].1
    }

    /// Tries the literal child first and comes back to the placeholders when that leads nowhere.
    fn descend<'a>(
        &'a self,
        segments: &[&str],
        values: &mut Vec<(&'a str, String)>,
    ) -> Option<&'a Arc<Entry>> {
        let Some((first, rest)) = segments.split_first() else {
            return self.entry.as_ref();
        };
        if let Some(entry) = self
            .literals
            .get(*first)
            .and_then(|branch| branch.descend(rest, values))
        {
            return Some(entry);
        }
        self.placeholders.iter().find_map(|(name, branch)| {
            let mark = values.len();
            values.push((name, (*first).to_owned()));
            branch.descend(rest, values).or_else(|| {
                values.truncate(mark);
                None
            })
        })
    }
}

/// Strips all leading and trailing slashes.
pub(crate) fn stripped(path: &str) -> &str {
    path.trim_matches('/')
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter(move |_| !path.is_empty() && path != "/")
}

const ID_PLACEHOLDER: &str = ":__id";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hooks::Hooks;
    use crate::service::{Params, Service};

    struct Nothing;

    impl Service for Nothing {
        async fn find(&self, _params: &Params) -> crate::error::Result<Value> {
            Ok(Value::Null)
        }
    }

    fn routes(paths: &[&str]) -> Routes {
        let mut routes = Routes::default();
        for path in paths {
            let service: Arc<dyn AnyService> = Arc::new(Nothing);
            routes.insert(Entry {
                place: 0,
                path: (*path).into(),
                chains: Chains::new(&[], &Hooks::default(), &Hooks::default(), &service),
                service,
                methods: Vec::new(),
                custom_events: Vec::new(),
                published_events: Vec::new(),
                route_params: Map::from_iter([("preset".to_owned(), json!("yes"))]),
                publishers: Publishers::default(),
                sync_context: None,
                sync_mode: SyncMode::default(),
                redacted: Vec::new(),
                dates: Vec::new(),
                is_open: false,
            });
        }
        routes
    }

    fn found(routes: &Routes, path: &str) -> Option<(String, Value)> {
        let route = routes.lookup(path)?;
        Some((route.entry.path.to_string(), Value::Object(route.params)))
    }

    #[test]
    fn ids_and_placeholders_are_taken_as_they_stand() {
        let routes = routes(&["echo", "a/:x/b/:y"]);
        let echo = |params| Some(("echo".to_owned(), params));
        assert_eq!(found(&routes, "/echo/"), echo(json!({ "preset": "yes" })));
        assert_eq!(
            found(&routes, "echo/a%20b"),
            echo(json!({ "preset": "yes", "__id": "a%20b" }))
        );
        assert_eq!(found(&routes, "Echo"), None);
        assert_eq!(found(&routes, "echo//5"), None);
        let params = json!({ "preset": "yes", "x": "1", "y": "2", "__id": "3" });
        assert_eq!(
            found(&routes, "/a/1/b/2/3"),
            Some(("a/:x/b/:y".to_owned(), params))
        );
        assert_eq!(found(&routes, "a//b/").map(|(path, _)| path), None);
        assert_eq!(found(&routes, "a//b/2").unwrap().1["x"], "");
    }

    #[test]
    fn a_literal_goes_first_and_comes_back_when_it_leads_nowhere() {
        let routes = routes(&["users/me/posts", "users/:user/files"]);
        let path = |path| found(&routes, path).map(|(path, _)| path);
        assert_eq!(path("users/me/posts").as_deref(), Some("users/me/posts"));
        assert_eq!(path("users/me/files").as_deref(), Some("users/:user/files"));
        assert_eq!(found(&routes, "users/me/files").unwrap().1["user"], "me");
    }

    #[test]
    fn a_root_service_takes_every_single_segment_as_id() {
        let routes = routes(&["/", "todos"]);
        assert_eq!(found(&routes, "/").unwrap().0, "/");
        assert_eq!(found(&routes, "/7").unwrap().1["__id"], "7");
        assert_eq!(found(&routes, "/todos").unwrap().0, "todos");
        assert_eq!(found(&routes, "/7/8"), None);
    }
}
