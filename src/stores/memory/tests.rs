use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::stores::Overrides;

/// Written by `tests/wire/generate-memory.mjs` with the real `@feathersjs/memory`.
const GOLDEN: &str = include_str!("../../../tests/wire/memory.json");

#[derive(Deserialize)]
struct Golden {
    records: Vec<Value>,
    found: Vec<(Value, Value, Outcome)>,
    sessions: Vec<(Value, Vec<Call>)>,
}

/// The method, its inputs, and what came of it.
type Call = (String, Vec<Value>, Outcome);

#[derive(Debug, Deserialize)]
struct Outcome {
    result: Option<Value>,
    error: Option<Value>,
}

impl Outcome {
    /// Compares as text, since two maps are equal in any order. An error without name made Feathers fail with 500.
    fn assert_is(&self, answer: &Result<Value>, what: &str) {
        match (answer, &self.result, &self.error) {
            (Ok(answer), Some(result), _) => {
                assert_eq!(answer.to_string(), result.to_string(), "{what}");
            }
            (Err(error), _, Some(expected)) if expected.get("name").is_some() => {
                assert_eq!(error.to_json(), *expected, "{what}");
            }
            (Err(error), _, Some(expected)) => {
                assert_eq!(error.code(), 400, "{what}");
                let message = expected["message"].as_str().unwrap();
                let is_accident =
                    message.contains("is not a function") || message.starts_with("Cannot ");
                assert!(is_accident || error.message() == message, "{what}: {error}");
            }
            _ => panic!("{what}: {answer:?} instead of {self:?}"),
        }
    }
}

fn golden() -> Golden {
    let text = std::env::var("WINGBEAT_MEMORY_ROWS").map_or_else(
        |_| GOLDEN.to_owned(),
        |path| std::fs::read_to_string(path).unwrap(),
    );
    serde_json::from_str(&text).unwrap()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn with_query(query: &Value) -> Params {
    Params::with_query(object(query))
}

fn paginate(wanted: &Value) -> Option<Paginate> {
    let wanted = wanted.as_object()?;
    let count = |name| wanted.get(name).and_then(Value::as_u64);
    Some(Paginate {
        default: count("default").unwrap_or(0),
        max: count("max"),
    })
}

fn multi(wanted: &Value) -> Multi {
    match wanted {
        Value::Array(methods) => {
            let methods = methods.iter().map(|method| method.as_str().unwrap().into());
            Multi::Only(methods.collect())
        }
        Value::Bool(true) => Multi::All,
        _ => Multi::None,
    }
}

/// The ids of what was found, to keep the file small.
fn ids(mut found: Value) -> Value {
    let records = found.get_mut("data").map(Value::take);
    match records {
        Some(data) => {
            found["data"] = ids(data);
            found
        }
        None => found
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["id"].clone())
            .collect(),
    }
}

#[tokio::test]
async fn queries_find_what_the_real_adapter_finds() {
    let golden = golden();
    let store = Memory::new();
    store.reset(golden.records, 100).unwrap();
    assert!(golden.found.len() > 450);
    for (query, pages, outcome) in golden.found {
        let mut params = with_query(&query);
        params.extensions.insert(Overrides {
            paginate: Some(paginate(&pages)),
            ..Overrides::default()
        });
        let mut answer = store.find(&params).await;
        assert_same(&store.found_text(&params).await, &answer);
        if query.get("$select").is_none() {
            answer = answer.map(ids);
        }
        outcome.assert_is(&answer, &format!("{query} {pages}"));
    }
}

#[tokio::test]
async fn calls_are_answered_as_the_real_adapter_does() {
    for (options, calls) in golden().sessions {
        let [store, texts] = [&options; 2].map(store_with);
        for (method, inputs, outcome) in calls {
            let answer = call(&store, &method, &inputs).await;
            outcome.assert_is(&answer, &format!("{method} {}", json!(inputs)));
            assert_same(&text_call(&texts, &method, &inputs).await, &answer);
        }
    }
}

fn store_with(options: &Value) -> Memory {
    let store = Memory::new()
        .multi(multi(&options["multi"]))
        .start_id(options["startId"].as_u64().unwrap_or(0));
    match options["id"].as_str() {
        Some(id) => store.id_property(id),
        None => store,
    }
}

/// A text is that of the value, to the last byte.
fn assert_same(text: &Result<Json>, value: &Result<Value>) {
    let shown = |error: &Error| format!("{error:?}");
    let text = text.as_ref().map(|text| format!("{text:?}"));
    let value = value.as_ref().map(Value::to_string);
    assert_eq!(text.map_err(shown), value.map_err(shown));
}

/// Makes a call for a client that takes text, if the store has it.
async fn text_call(store: &Memory, method: &str, inputs: &[Value]) -> Result<Json> {
    let params = |at: usize| with_query(inputs.get(at).unwrap_or(&Value::Null));
    match method {
        "find" => store.found_text(&params(0)).await,
        "get" => {
            store
                .got_text(Id::from_json(inputs[0].clone())?.unwrap(), &params(1))
                .await
        }
        // As a client sends it.
        "create" => store.created_text((&inputs[0]).into(), &params(1)).await,
        _ => call(store, method, inputs).await.map(Json::from),
    }
}

async fn call(store: &Memory, method: &str, inputs: &[Value]) -> Result<Value> {
    let params = |at: usize| with_query(inputs.get(at).unwrap_or(&Value::Null));
    let id = || Id::from_json(inputs[0].clone());
    match method {
        "find" => store.find(&params(0)).await,
        "get" => store.get(id()?.unwrap(), &params(1)).await,
        "create" => store.create(inputs[0].clone(), &params(1)).await,
        "update" => store.update(id()?, inputs[1].clone(), &params(2)).await,
        "patch" => store.patch(id()?, inputs[1].clone(), &params(2)).await,
        _ => store.remove(id()?, &params(1)).await,
    }
}

async fn store_of(records: impl IntoIterator<Item = Value>, options: MemoryOptions) -> Memory {
    let store = Memory::with_options(options);
    for record in records {
        store.create(record, &Params::default()).await.unwrap();
    }
    store
}

/// Feathers writes the record, then answers 404 and sends no event (feathers.md §6.4).
#[tokio::test]
async fn an_update_that_no_longer_matches_answers_what_it_wrote() {
    let store = store_of([json!({ "room": "a" })], MemoryOptions::default()).await;
    let params = with_query(&json!({ "room": "a" }));
    let moved = store.update(Some(0.into()), json!({ "room": "b" }), &params);
    assert_eq!(moved.await.unwrap(), json!({ "room": "b", "id": 0 }));
}

#[tokio::test]
async fn operators_and_filters_of_the_store_are_asked() {
    let contains = |found: &Value, wanted: &Value| {
        let texts = found.as_str().zip(wanted.as_str());
        texts.is_some_and(|(found, wanted)| found.contains(wanted))
    };
    let mut options = MemoryOptions::default();
    options
        .operators
        .insert("$like".to_owned(), Arc::new(contains));
    let searches = move |record: &Value, wanted: &Value| {
        let mut fields = record.as_object().unwrap().values();
        fields.any(|field| contains(field, wanted))
    };
    options
        .filters
        .insert("$search".to_owned(), Arc::new(searches));
    let records = ["sea", "tree", "sky"].map(|text| json!({ "tags": ["x", text] }));
    let store = store_of(records, options).await;

    let like = with_query(&json!({ "tags": { "$like": "e", "$ne": "sea" } }));
    assert_eq!(ids(store.find(&like).await.unwrap()), json!([1]));
    let search = with_query(&json!({ "$search": "sea" }));
    assert_eq!(ids(store.find(&search).await.unwrap()), json!([]));
    let misplaced = with_query(&json!({ "$like": "e" }));
    let error = store.find(&misplaced).await.unwrap_err();
    assert_eq!(error.message(), "Invalid filter value $like");
}

/// The first record could take the patch, the second can not: neither gets it.
#[tokio::test]
async fn a_patch_of_many_writes_all_or_none() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Entry {
        Text { value: String },
        Count { value: u8 },
    }
    let store = Memory::<Entry>::typed().multi(Multi::All);
    let records = json!([{ "kind": "Text", "value": "a" }, { "kind": "Count", "value": 1 }]);
    let params = Params::default();
    let created = store.create(records, &params).await.unwrap();

    let patch = store.patch(None, json!({ "value": "b" }), &params);
    assert_eq!(patch.await.unwrap_err().code(), 400);
    assert_eq!(store.find(&params).await.unwrap(), created);
}

#[tokio::test]
async fn the_same_id_as_number_or_text_is_one_record() {
    let records = [json!({ "id": 1 }), json!({ "id": "1", "second": true })];
    let store = store_of(records, MemoryOptions::default()).await;
    let found = store.find(&Params::default()).await.unwrap();
    assert_eq!(found, json!([{ "id": "1", "second": true }]));
    let one = Id::from_json(json!(1.0)).unwrap().unwrap();
    assert!(store.get(one, &Params::default()).await.is_ok());
}

proptest! {
    /// Sorting must not meet an order that contradicts itself, which would panic.
    #[test]
    fn any_records_can_be_sorted(values in proptest::collection::vec(any_value(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let count = values.len();
            let records = values.into_iter().map(|value| json!({ "v": value }));
            let store = store_of(records, MemoryOptions::default()).await;
            let sorted = store.find(&with_query(&json!({ "$sort": { "v": 1 } }))).await.unwrap();
            assert_eq!(sorted.as_array().unwrap().len(), count);
        });
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let near = 9_007_199_254_740_990_u64..9_007_199_254_740_999;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        near.clone().prop_map(Value::from),
        near.prop_map(|n| json!(n as f64)),
        prop_oneof![
            Just(1e300),
            Just(-1e300),
            Just(-0.0),
            Just(0.5),
            Just(1.8e19)
        ]
        .prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-c\u{ffee}\u{1F600}]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec(("[a-c]", inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Makes data as the transports do.
fn of_client(text: &'static str) -> Json {
    match plain::is_plain(text) {
        true => Json::from_plain_text(text.into()),
        false => Json::from_valid_text(text.into()),
    }
}

/// What is kept as it came, and what is read, is the same to all who ask for it.
#[tokio::test]
async fn a_record_that_came_as_text_is_found_as_one_that_came_as_a_value() {
    let texts = [
        r#"{"text":"a","likes":1}"#,
        r#"{"text":"b","id":"x","likes":2}"#,
        r#"{}"#,
        r#"{"id":7}"#,
        r#"{"id":"07","likes":3}"#,
        r#"{"id":null,"likes":4}"#,
        r#"{"id":0,"likes":5}"#,
        r#"{"id":"","likes":6}"#,
        r#"{"id":1.5,"likes":7}"#,
        r#"{"likes":8, "id":7}"#,
        r#"{"id":false,"id":9}"#,
        r#"{"text":"\u00e9\n"}"#,
        r#"{"id":true,"in":{"id":3}}"#,
    ];
    let params = Params::default();
    let (of_texts, of_values) = (Memory::new(), Memory::new());
    for text in texts {
        let data = of_client(text);
        let created = of_values.create(data.value().clone(), &params).await;
        let of_text = of_texts.created_text(of_client(text), &params).await;
        assert_same(&of_text, &created);
    }
    for query in [
        json!({}),
        json!({ "likes": { "$gt": 1 }, "$sort": { "likes": -1 } }),
    ] {
        let params = with_query(&query);
        let found = of_values.find(&params).await;
        assert_same(&of_texts.found_text(&params).await, &found);
        assert_same(&of_texts.find(&params).await.map(Json::from), &found);
    }
}

#[tokio::test]
async fn a_text_is_read_through_the_type_and_no_list_is_a_record() {
    let params = Params::default();
    let store = Memory::<Vec<u8>>::typed();
    let created = store.created_text(of_client("{}"), &params).await;
    assert_eq!(created.unwrap_err().code(), 400);
    let store = Memory::new();
    for text in ["[]", "7"] {
        assert!(store.created_text(of_client(text), &params).await.is_err());
    }
}
