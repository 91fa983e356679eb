//! The types that a query string can not carry.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Number, Value};

use super::HookContext;
use crate::error::Result;

/// A before hook that gives the strings in the query of a REST call the types that they look like.
///
/// `true`, `false`, `null` and numbers such as `-12` and `3.5` become values, however deep they stand; without it `?age=36` does
/// not find the number 36 (feathers.md §0.1). It is for services whose records have no strings that look so: after it
/// `?zip=01234` looks for the number 1234. Calls over sockets and inside the process have their types already and stay as
/// they are.
///
/// ```
/// use wingbeat::hooks::{All, RegisterHooks, convert_query};
/// use wingbeat::service::Registration;
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), wingbeat::BuildError> {
/// let people = Registration::new(Memory::new()).before(All, convert_query);
/// let app = App::builder().service("people", people).build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn convert_query(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    let params = &mut context.params;
    if params.provider == Some("rest") {
        params.query.values_mut().for_each(convert);
    }
    std::future::ready(Ok(())).boxed()
}

/// Goes as deep as query strings do.
fn convert(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(convert),
        Value::Object(members) => members.values_mut().for_each(convert),
        Value::String(text) => {
            if let Some(typed) = typed(text) {
                *value = typed;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn typed(text: &str) -> Option<Value> {
    match text {
        "true" => Some(true.into()),
        "false" => Some(false.into()),
        "null" => Some(Value::Null),
        text if looks_like_a_number(text) => number(text).map(Value::Number),
        _ => None,
    }
}

/// Digits, a sign and a fraction: neither exponents nor spaces.
fn looks_like_a_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    }
}

/// Integers stay exact as long as 64 bits hold them; what not even a double holds stays a string.
fn number(text: &str) -> Option<Number> {
    let integer = text.parse::<i64>().map(Number::from);
    integer
        .or_else(|_| text.parse::<u64>().map(Number::from))
        .ok()
        .or_else(|| Number::from_f64(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_a_value_becomes_one_and_the_rest_stays() {
        let mut query = json!({
            "n": "-12", "f": "3.5", "zero": "007", "big": "9007199254740993", "deep": { "$in": ["1", "true", ["null"]] },
            "exp": "1e3", "dot": "1.", "plus": "+1", "space": " 1", "empty": "", "sign": "-", "digits": "٣", "text": "True",
            "huge": "9".repeat(400),
        });
        let mut expected = query.clone();
        let typed = json!({
            "n": -12, "f": 3.5, "zero": 7, "big": 9_007_199_254_740_993_i64, "deep": { "$in": [1, true, [null]] },
        });
        expected
            .as_object_mut()
            .unwrap()
            .extend(typed.as_object().unwrap().clone());

        convert(&mut query);

        assert_eq!(query, expected);
    }
}
