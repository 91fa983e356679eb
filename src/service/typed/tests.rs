use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::error::{Error, Result};
use crate::service::query::{Found, Paginate, Query, QueryBuilder, QueryOptions};
use crate::service::{Id, Registration};
use crate::stores::Multi;
use crate::{App, Memory, Params};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    id: u64,
    text: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct NewNote {
    text: String,
}

/// The types of `notes`, and a service that has them.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<Note>>);

impl ServiceType for Notes {
    const PATH: &'static str = "notes";
    type Record = Note;
    type Data = NewNote;
    type Patch = NewNote;
}

struct Read;

impl EventType<Notes> for Read {
    const NAME: &'static str = "read";
    type Data = (u64, String);
}

struct Join;

impl MethodType<Notes> for Join {
    const NAME: &'static str = "join";
    type Data = Vec<usize>;
    type Result = String;
}

impl Notes {
    async fn join(&self, which: Vec<usize>) -> Result<String> {
        let notes = self.0.lock();
        let text = |at: &usize| notes.get(*at).map(|note| note.text.as_str());
        Ok(which.iter().filter_map(text).collect())
    }
}

impl TypedService for Notes {
    const METHODS: &'static [&'static str] = &[
        "find",
        "get",
        "create",
        "update",
        "patch",
        "remove",
        Join::NAME,
        "other",
    ];
    const EVENTS: &'static [&'static str] = &[Read::NAME];

    async fn find(&self, params: &Params) -> Result<Found<Note>> {
        let notes = self.0.lock().clone();
        let query = Query::parse(&params.query, &QueryOptions::default())?;
        let window = query.window(Some(&Paginate::new(2, 10)));
        let shown = notes[window.range(notes.len())].to_vec();
        Ok(window.found(notes.len(), shown))
    }

    /// An id that is no number is somebody else's error on purpose.
    async fn get(&self, id: Id, _: &Params) -> Result<Note> {
        let at: usize = id.to_string().parse()?;
        let found = self.0.lock().get(at).cloned();
        found.ok_or_else(|| Error::not_found(format!("No record found for id '{id}'")))
    }

    async fn create(&self, data: NewNote, _: &Params) -> Result<Note> {
        let mut notes = self.0.lock();
        let id = notes.len().try_into()?;
        let text = data.text;
        notes.push(Note { id, text });
        Ok(notes[notes.len() - 1].clone())
    }

    async fn update(&self, id: Id, data: NewNote, params: &Params) -> Result<Note> {
        let note = self.get(id, params).await?;
        let text = data.text;
        Ok(Note { text, ..note })
    }

    async fn custom(&self, call: CustomCall, _: &Params) -> Result<Value> {
        match call.name() {
            Join::NAME => call.answer(Join, |which| self.join(which)).await,
            _ => call.unsupported(),
        }
    }
}

fn new(text: &str) -> NewNote {
    let text = text.to_owned();
    NewNote { text }
}

fn note(id: u64, text: &str) -> Note {
    let text = text.to_owned();
    Note { id, text }
}

fn own() -> App {
    let app = App::builder().service(Notes::PATH, Typed(Notes::default()));
    app.build().unwrap()
}

fn store(store: Memory) -> App {
    let app = App::builder().service(Notes::PATH, store.multi(Multi::All));
    app.build().unwrap()
}

#[tokio::test]
async fn each_call_has_its_types() {
    let notes = store(Memory::new()).service::<Notes>();
    assert_eq!(notes.create(&new("a")).await.unwrap(), note(0, "a"));
    let made = notes.create_many(&[new("b"), new("c")]).await.unwrap();
    assert_eq!(made, [note(1, "b"), note(2, "c")]);
    assert_eq!(notes.update(0, &new("A")).await.unwrap(), note(0, "A"));
    assert_eq!(notes.patch(1, &new("B")).await.unwrap(), note(1, "B"));
    let c = || QueryBuilder::new().equals("text", "c");
    let patched = notes.patch_many(&new("C")).query(c()).await.unwrap();
    assert_eq!(patched, [note(2, "C")]);
    assert_eq!(notes.get("1").await.unwrap(), note(1, "B"));
    let params = Params::with_query(c().into());
    assert!(notes.find().params(params).await.unwrap().is_empty());
    assert_eq!(notes.remove(0).await.unwrap(), note(0, "A"));
    assert_eq!(notes.remove_many().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_find_is_a_list_or_a_page() {
    let list = store(Memory::new()).service::<Notes>();
    let pages = store(Memory::new().paginate(Paginate::new(2, 10))).service::<Notes>();
    for notes in [&list, &pages] {
        let three = ["a", "b", "c"].map(new);
        notes.create_many(&three).await.unwrap();
    }
    let found = list.find().await.unwrap();
    assert_eq!((found.len(), found.total(), found.page), (3, 3, None));
    let found = pages.find().query(QueryBuilder::new().skip(1)).await;
    let found = found.unwrap();
    assert_eq!(found.data, [note(1, "b"), note(2, "c")]);
    let page = found.page.unwrap();
    assert_eq!((page.total, page.limit, page.skip), (3, Some(2), 1));
}

#[tokio::test]
async fn a_service_of_types_answers_as_one_of_json() {
    let app = own();
    let (typed, json) = (app.service::<Notes>(), app.service_at("notes"));
    for text in ["a", "b", "c"] {
        typed.create(&new(text)).await.unwrap();
    }
    let page = json!({ "total": 3, "limit": 2, "skip": 2, "data": [{ "id": 2, "text": "c" }] });
    let skipping = QueryBuilder::new().skip(2);
    assert_eq!(json.find().query(skipping).await.unwrap(), page);
    assert_eq!(typed.get(1).await.unwrap(), note(1, "b"));
    assert_eq!(typed.update(1, &new("B")).await.unwrap(), note(1, "B"));
    assert_eq!(typed.call(Join, &vec![2, 0]).await.unwrap(), "ca");
}

#[tokio::test]
async fn what_a_service_does_not_do_answers_as_in_feathers() {
    let app = own();
    let (typed, json) = (app.service::<Notes>(), app.service_at("notes"));
    let failed = |error: Error| (error.code(), error.message().to_owned());
    let unsupported = |method| {
        (
            405,
            format!("Method `{method}` is not supported by this endpoint."),
        )
    };
    let multiple = |method| (405, format!("Can not {method} multiple entries"));
    let replacing = (
        400,
        "You can not replace multiple instances. Did you mean 'patch'?".to_owned(),
    );
    let (one, data) = ([new("a")], json!({ "text": "a" }));
    assert_eq!(
        failed(typed.patch(0, &one[0]).await.unwrap_err()),
        unsupported("patch")
    );
    assert_eq!(
        failed(typed.remove(0).await.unwrap_err()),
        unsupported("remove")
    );
    assert_eq!(
        failed(json.method("other").await.unwrap_err()),
        unsupported("other")
    );
    assert_eq!(
        failed(typed.create_many(&one).await.unwrap_err()),
        multiple("create")
    );
    assert_eq!(
        failed(typed.patch_many(&one[0]).await.unwrap_err()),
        multiple("patch")
    );
    assert_eq!(
        failed(typed.remove_many().await.unwrap_err()),
        multiple("remove")
    );
    let without_id = json.method("update").data(data.clone());
    assert_eq!(failed(without_id.await.unwrap_err()), replacing);
    let list = json.update(0, json!([data]));
    assert_eq!(failed(list.await.unwrap_err()), replacing);
}

#[tokio::test]
async fn data_of_another_type_is_a_bad_request_that_names_the_place() {
    let (app, store) = (
        own(),
        App::builder().service("notes", Memory::<NewNote>::typed()),
    );
    let store = store.build().unwrap();
    let reason = "invalid type: integer `1`, expected a string";
    for notes in [app.service_at("notes"), store.service_at("notes")] {
        let error = notes.create(json!({ "text": 1 })).await.unwrap_err();
        assert_eq!(error.code(), 400);
        assert_eq!(
            error.message(),
            format!("validation failed: /text: {reason}")
        );
        let problem = json!([{ "instancePath": "/text", "message": reason }]);
        assert_eq!(error.data(), Some(&problem));
    }
    let notes = app.service_at("notes");
    let error = notes.method("join").data(json!([0, -1])).await.unwrap_err();
    assert_eq!(error.data().unwrap()[0]["instancePath"], "/1");
    let error = notes
        .create(json!([{ "text": "a" }, {}]))
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "validation failed: /1: missing field `text`"
    );
}

#[tokio::test]
async fn what_others_fail_with_is_hidden_by_a_question_mark() {
    let error = own().service::<Notes>().get("x").await.unwrap_err();
    assert!(error.is_foreign());
    let public = error.public(false);
    assert!(public.message().starts_with("Internal error, log id "));
}

#[tokio::test]
async fn a_result_of_another_type_says_what_does_not_fit() {
    let app = store(Memory::new());
    app.service_at("notes").create(json!({})).await.unwrap();
    let error = app.service::<Notes>().get(0).await.unwrap_err();
    assert_eq!(
        error.source().unwrap().to_string(),
        "'get' of 'notes' answers something of another type: missing field `text`"
    );
    let as_json = app.service::<Notes>().get(0).reads::<Value>().await;
    assert_eq!(as_json.unwrap(), json!({ "id": 0 }));
}

#[tokio::test]
async fn an_event_that_does_not_fit_is_counted_and_others_hear_it() {
    let app = store(Memory::new());
    let notes = app.service::<Notes>();
    let heard = Arc::new(AtomicU64::new(0));
    let (typed, untyped) = (Arc::clone(&heard), Arc::clone(&heard));
    notes.on(Created, move |note, event| {
        assert_eq!((note.text.as_str(), event.name()), ("a", "created"));
        typed.fetch_add(1, Ordering::Relaxed);
    });
    notes.untyped().on("created", move |_| {
        untyped.fetch_add(10, Ordering::Relaxed);
    });
    app.service_at("notes").create(json!({})).await.unwrap();
    assert_eq!(heard.load(Ordering::Relaxed), 10);
    notes.create(&new("a")).await.unwrap();
    assert_eq!(heard.load(Ordering::Relaxed), 21);
    let stats = app.stats();
    assert_eq!((stats.listener_misfits, stats.listener_panics), (1, 0));
}

#[tokio::test]
async fn a_service_names_its_custom_events() {
    let events = Registration::new(Typed(Notes::default())).all_published_events();
    assert_eq!(events.last().map(|event| &**event), Some("read"));
}

#[tokio::test]
async fn data_that_is_no_json_fails_the_call() {
    struct Odd;
    impl ServiceType for Odd {
        const PATH: &'static str = "notes";
        type Record = Value;
        type Data = std::collections::BTreeMap<(u8, u8), u8>;
        type Patch = Value;
    }
    let data = [((1, 2), 3)].into();
    let error = own().service::<Odd>().create(&data).await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "key must be a string");
}
