use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(query: &Value) -> Result<Query> {
    let query = query.as_object().cloned().unwrap_or_default();
    Query::parse(&query, &QueryOptions::default())
}

fn message(query: &Value) -> String {
    parse(query).unwrap_err().message().to_owned()
}

fn matches(query: &Value, record: &Value) -> bool {
    parse(query).unwrap().matches(record)
}

#[test]
fn bad_queries_name_what_is_wrong() {
    let table = [
        (json!({ "$foo": 1 }), "Invalid filter value $foo"),
        (
            json!({ "a": { "$regex": "x" } }),
            "Invalid query parameter $regex",
        ),
        (
            json!({ "$or": [] }),
            "$and/$or/$nor must be a nonempty array",
        ),
        (json!({ "$or": { "a": 1 } }), "$or must be a nonempty array"),
        (json!({ "$and": "x" }), "$and must be a nonempty array"),
        (json!({ "$sort": null }), "$sort must be an object"),
        (
            json!({ "$select": 1 }),
            "$select must be a list of properties",
        ),
        (
            json!({ "a": { "$in": [{ "$gt": 1 }] } }),
            "cannot nest $ under $in",
        ),
    ];
    for (query, expected) in table {
        assert_eq!(message(&query), expected, "{query}");
    }
}

#[test]
fn the_data_of_the_error_is_the_object_that_holds_the_name() {
    let error = parse(&json!({ "a": [{ "b": 1, "$foo": 2 }] })).unwrap_err();
    let expected = json!({ "name": "BadRequest", "message": "Invalid query parameter $foo", "code": 400, "className": "bad-request", "data": { "b": 1, "$foo": 2 } });
    assert_eq!(error.to_json(), expected);
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth| (1..depth).fold(json!(1), |inner, _| json!([inner]));
    assert!(parse(&json!({ "a": nested(32) })).is_ok());
    let too_deep = "A query can not nest deeper than 32 levels";
    assert_eq!(message(&json!({ "a": nested(33) })), too_deep);
    let ids = |count| json!({ "id": { "$in": vec![1; count] } });
    assert!(parse(&ids(9_998)).is_ok());
    let too_many = "A query can not have more than 10000 values";
    assert_eq!(message(&ids(9_999)), too_many);
}

#[test]
fn types_do_not_mix_and_missing_is_null() {
    let record = json!({ "n": 1, "t": "1", "none": null, "list": [1, "a", [2]], "deep": [{ "k": 1 }, { "k": [3] }] });
    let fulfilled = [
        json!({ "n": 1.0 }),
        json!({ "missing": null, "none": null }),
        json!({ "list": "a" }),
        json!({ "list": 2 }),
        json!({ "list": [1, "a", [2]] }),
        json!({ "deep.k": 3 }),
        json!({ "deep.1.k": 3 }),
        json!({ "deep": { "k": 1 } }),
        json!({ "list": { "$gt": 0, "$lt": 2 } }),
        json!({ "missing": { "$lte": null, "$nin": [1] } }),
        json!({ "$or": [{ "n": 2 }, { "t": { "$gte": "1" } }] }),
    ];
    for query in &fulfilled {
        assert!(matches(query, &record), "{query}");
    }
    let unfulfilled = [
        json!({ "n": "1" }),
        json!({ "t": 1 }),
        json!({ "t": { "$gt": 0 } }),
        json!({ "missing": { "$ne": null } }),
        json!({ "missing": { "$lt": 1 } }),
        json!({ "list": { "$ne": "a" } }),
        json!({ "list": { "$nin": [2] } }),
        json!({ "deep": { "k": 4 } }),
        json!({ "deep.0.k": 3 }),
        json!({ "list.9": null }),
    ];
    for query in &unfulfilled {
        assert!(!matches(query, &record), "{query}");
    }
}

#[test]
fn integers_beyond_doubles_stay_apart() {
    let record = json!({ "n": 9_007_199_254_740_993_i64 });
    assert!(!matches(
        &json!({ "n": 9_007_199_254_740_992_i64 }),
        &record
    ));
    let above = json!({ "n": { "$gt": 9_007_199_254_740_992.0 } });
    assert!(matches(&above, &record));
}

#[test]
fn numbers_are_read_as_javascript_reads_them() {
    let texts = ["2", " 3", "+4", "-5x", "1e3", "abc", "", "-"];
    let read = texts.map(|text| page::parse_int(&json!(text)));
    let expected = [
        Some(2),
        Some(3),
        Some(4),
        Some(-5),
        Some(1),
        None,
        None,
        None,
    ];
    assert_eq!(read, expected);
    let values = [
        json!(1.9),
        json!([1, 2]),
        json!(null),
        json!(true),
        json!({}),
    ];
    let read = values.map(|value| page::parse_int(&value));
    assert_eq!(read, [Some(1), Some(1), None, None, None]);
    let huge = page::parse_int(&json!("-99999999999999999999"));
    assert_eq!(huge, Some(i64::MIN));
}

#[test]
fn equal_records_keep_their_order() {
    let query = parse(&json!({ "$sort": { "n": "-1" } })).unwrap();
    let mut records: Vec<Value> = (0..100)
        .map(|at| json!({ "n": at % 3, "at": at }))
        .collect();
    records.sort_by(|one, other| query.compare(one, other));
    let pairs = records.windows(2);
    let places = |record: &Value| (-record["n"].as_i64().unwrap(), record["at"].as_i64());
    assert!(
        pairs
            .into_iter()
            .all(|pair| places(&pair[0]) < places(&pair[1]))
    );
}

#[test]
fn a_direction_that_is_no_number_ends_the_order() {
    let paths = |sort: Value| {
        let query = parse(&json!({ "$sort": sort })).unwrap();
        let paths = query.sort.into_iter().map(|sort| sort.path);
        paths.collect::<Vec<_>>()
    };
    assert_eq!(paths(json!({ "a": 1, "b": 0, "c": "-1" })), ["a", "c"]);
    assert_eq!(paths(json!({ "a": 1, "b": "x", "c": -1 })), ["a"]);
    assert!(paths(json!("a")).is_empty());
}

#[test]
fn the_window_of_an_unknown_number_of_records() {
    let window = |query: Value| parse(&query).unwrap().window(None);
    let range = |query| window(query).range(usize::MAX);
    assert_eq!(range(json!({ "$skip": 2, "$limit": 3 })), 2..5);
    assert_eq!(range(json!({ "$skip": -1 })), 0..usize::MAX);
    assert_eq!(
        range(json!({ "$skip": i64::MAX, "$limit": i64::MAX })).len(),
        usize::try_from(i64::MAX).unwrap()
    );
}

#[test]
fn the_builder_loses_no_condition() {
    let query = QueryBuilder::new()
        .test("n", Test::greater_than(1))
        .test("n", Test::greater_than(2))
        .equals("n", 3)
        .any([QueryBuilder::new().equals("a", 1)])
        .any([QueryBuilder::new().equals("b", 1)])
        .all([QueryBuilder::new().test("c", Test::one_of([1, 2]))])
        .build();
    let expected = json!({
        "n": { "$gt": 1 },
        "$and": [{ "n": { "$gt": 2 } }, { "n": 3 }, { "$or": [{ "b": 1 }] }, { "c": { "$in": [1, 2] } }],
        "$or": [{ "a": 1 }],
    });
    assert_eq!(Value::Object(query.clone()), expected);
    let query = Query::parse(&query, &QueryOptions::default()).unwrap();
    assert!(query.matches(&json!({ "n": 3, "a": 1, "b": 1, "c": 2 })));
    assert!(!query.matches(&json!({ "n": 3, "a": 1, "b": 2, "c": 2 })));
}

proptest! {
    /// Whatever stands where: an answer or a `BadRequest`.
    #[test]
    fn no_query_makes_it_panic(text in r#"(\$(or|and|in|nin|ne|lt|gte|sort|limit|skip|select|foo)|[a-c.0]){1,3}"#, value in value()) {
        let record = json!({ "a": [1, { "b": "x" }], "b": value, "c": { "0": null } });
        for query in [json!({ text.clone(): value }), json!({ "$or": [{ text: value }] })] {
            match parse(&query) {
                Ok(query) => {
                    let _ = query.matches(&record);
                    let _ = query.window(Some(&Paginate::new(2, 3))).range(5);
                }
                Err(error) => assert_eq!(error.code(), 400),
            }
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c1$. ]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = r"\$(or|and|in|ne|gt|foo)|[abc0.]{0,3}";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
