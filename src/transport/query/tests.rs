use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Written by `tests/wire/generate-qs.mjs` with the real parser of Express.
const GOLDEN: &str = include_str!("../../../tests/wire/qs.json");

/// Words of the grammar in any order.
const SOUP: &str =
    "([ab_$.01279é]|__proto__|\\[|\\[|\\]|\\]|=|=|&|&|&|%|%5B|%5d|%C3|%A9|\\+|999|1000){0,200}";

/// Parameters whose keys meet, as values and as objects, at every level.
const MEETING: &str = "a(\\[(0|1||b|1000)\\]){0,7}=[xy]?";

/// The same, as deep as forms go and a little deeper.
const DEEP: &str = "a(\\[(0|1|b)\\]){0,33}=[xy]?";

/// The bounds that the module's documentation derives.
const MAX_DEPTH: usize = 22;
const MAX_FORM_DEPTH: usize = 100;

fn parsed(query: &str) -> Value {
    Value::Object(parse(query))
}

#[test]
fn equals_what_express_parses_key_order_included() {
    let rows: Vec<(String, Value)> = serde_json::from_str(GOLDEN).unwrap();

    assert!(
        rows.len() > 700,
        "the golden file holds {} rows",
        rows.len()
    );
    for (query, expected) in rows {
        // Compared as text: two maps are equal in any order.
        assert_eq!(
            parsed(&query).to_string(),
            expected.to_string(),
            "query: {query}"
        );
    }
}

#[test]
fn reads_what_the_rest_client_sends() {
    let query = "f%5B0%5D=x&f%5B1%5D=y&g%5B%24in%5D%5B0%5D=1&g%5B%24in%5D%5B1%5D=2\
        &c=&b=true&%24sort%5Ba%5D=-1";

    let expected = json!({
        "f": ["x", "y"], "g": { "$in": ["1", "2"] }, "c": "", "b": "true", "$sort": { "a": "-1" }
    });
    assert_eq!(parsed(query), expected);
}

#[test]
fn ignores_parameters_after_the_first_thousand() {
    let query: String = (0..1_500).map(|index| format!("k{index}=v&")).collect();

    let map = parse(&query);

    assert_eq!(map.len(), 1_000);
    assert_eq!(map.keys().next_back().unwrap(), "k999");
}

#[test]
fn counts_empty_parameters_too() {
    assert_eq!(
        parsed(&format!("{}a=1", "&".repeat(999))),
        json!({ "a": "1" })
    );
    assert_eq!(parsed(&format!("{}a=1", "&".repeat(1_000))), json!({}));
}

#[test]
fn keeps_the_holes_of_hostile_lists_virtual() {
    let path = "[999]".repeat(QUERY_DEPTH);
    let query: String = (0..PARAMETER_LIMIT)
        .map(|index| format!("k{index}{path}=x&"))
        .collect();

    let map = parse(&query);

    assert_eq!(map.len(), PARAMETER_LIMIT);
    assert!(map.values().all(|value| *value == json!([[[[["x"]]]]])));
}

#[test]
fn makes_one_key_of_a_million_brackets() {
    let query = format!("a{}=x", "[".repeat(1_000_000));

    let map = parse(&query);

    assert_eq!(
        map["a"].as_object().unwrap().keys().next().unwrap().len(),
        1_000_000
    );
}

#[test]
fn forms_go_deeper_and_are_refused_beyond_their_limits() {
    let deep = |groups: usize| format!("a{}=x", "[b]".repeat(groups));
    let depth_of = |form: &str| parse_form(form).map(|map| depth(&Value::Object(map)));
    assert_eq!(depth_of(&deep(32)), Ok(33));
    assert_eq!(depth_of(&deep(33)), Err(FormLimit::Depth));
    assert_eq!(
        depth_of(&format!("{}[b", &deep(32)[..97])),
        Err(FormLimit::Depth)
    );
    let unclosed = parse_form("a[b][c=x").unwrap();
    assert_eq!(unclosed["a"], json!({ "b": { "[c": "x" } }));

    let many = |n: usize| vec!["a=x"; n].join("&");
    assert_eq!(
        parse_form(&many(1_000)).unwrap()["a"]
            .as_array()
            .unwrap()
            .len(),
        1_000
    );
    assert_eq!(parse_form(&many(1_001)), Err(FormLimit::Parameters));
}

#[test]
fn lists_of_forms_are_as_long_as_there_are_parameters_and_at_least_a_hundred() {
    let list_at = |index: usize, more: usize| {
        let form = format!("a[{index}]=x{}", "&b=y".repeat(more));
        parse_form(&form).unwrap()["a"].is_array()
    };
    assert!(list_at(99, 0) && !list_at(100, 0));
    assert!(list_at(100, 100) && !list_at(101, 100));
}

proptest! {
    #[test]
    fn any_text_has_a_bounded_result(query in any::<String>()) {
        assert_bounded(&parsed(&query));
    }

    #[test]
    fn any_grammar_soup_has_a_bounded_result(query in SOUP) {
        assert_bounded(&parsed(&query));
    }

    #[test]
    fn conflicts_at_every_level_stay_bounded(parts in vec(MEETING, 0..60)) {
        assert_bounded(&parsed(&parts.join("&")));
    }

    #[test]
    fn forms_that_are_taken_have_a_bounded_result(soup in SOUP, parts in vec(DEEP, 0..30)) {
        for form in [soup, parts.join("&")] {
            if let Ok(map) = parse_form(&form) {
                assert_bounded_by(MAX_FORM_DEPTH, &Value::Object(map));
            }
        }
    }

    #[test]
    fn escaped_values_come_back_unchanged(value in any::<String>()) {
        let escaped = utf8_percent_encode(&value, NON_ALPHANUMERIC);
        prop_assert_eq!(parsed(&format!("a[b]={escaped}")), json!({ "a": { "b": value } }));
    }

    #[test]
    fn lists_come_back_in_their_order(values in vec("[a-z0-9]{0,5}", 1..200)) {
        let numbered = values.iter().enumerate();
        let indexed: Vec<_> = numbered.map(|(index, value)| format!("a[{index}]={value}")).collect();
        let pushed: Vec<_> = values.iter().map(|value| format!("a[]={value}")).collect();

        prop_assert_eq!(parsed(&indexed.join("&")), json!({ "a": values }));
        prop_assert_eq!(parsed(&pushed.join("&")), json!({ "a": values }));
    }
}

fn assert_bounded(value: &Value) {
    assert_bounded_by(MAX_DEPTH, value);
}

fn assert_bounded_by(max_depth: usize, value: &Value) {
    assert!(depth(value) <= max_depth, "{} deep: {value}", depth(value));
    assert!(only_texts(value), "leaves that are no strings: {value}");
    assert!(!has_prototype_key(value), "__proto__ was kept: {value}");
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn depth(value: &Value) -> usize {
    let deepest = children(value).into_iter().map(depth).max();
    deepest.unwrap_or(0) + usize::from(!value.is_string())
}

fn only_texts(value: &Value) -> bool {
    let is_container = value.is_array() || value.is_object();
    (is_container || value.is_string()) && children(value).into_iter().all(only_texts)
}

fn has_prototype_key(value: &Value) -> bool {
    let here = value
        .as_object()
        .is_some_and(|map| map.contains_key("__proto__"));
    here || children(value).into_iter().any(has_prototype_key)
}
