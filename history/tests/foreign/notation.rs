//! EDN: what each notation becomes, and where it is refused.

use super::{refused, written};
use history::{ForeignOptions, Format, read_foreign};
use serde_json::{Value, json};

#[test]
fn every_notation_has_its_value() {
    for (edn, value) in [
        ("nil", Value::Null),
        ("true", json!(true)),
        (":a", json!("a")),
        (":jepsen.core/a.b", json!("jepsen.core/a.b")),
        ("...", json!("...")),
        ("some/symbol", json!("some/symbol")),
        ("-7", json!(-7)),
        ("+7", json!(7)),
        ("0", json!(0)),
        ("7N", json!(7)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("18446744073709551616", json!("18446744073709551616")),
        ("-9223372036854775809N", json!("-9223372036854775809")),
        ("1.5", json!(1.5)),
        ("-1e3", json!(-1000.0)),
        ("1e999", json!("1e999")),
        ("1.50M", json!("1.50")),
        ("1/3", json!("1/3")),
        ("##NaN", json!("NaN")),
        (r"\a", json!("a")),
        (r"\newline", json!("\n")),
        (r"\u263a", json!("☺")),
        (r"\(", json!("(")),
        (r"[\; \u]", json!([";", "u"])),
        (r#""a\tb\"\\ é \u263a \ud83d\ude00 \101""#, json!("a\tb\"\\ é ☺ 😀 A")),
        ("\"two\nlines\"", json!("two\nlines")),
        ("[1, 2 ,3]", json!([1, 2, 3])),
        ("(1 (2))", json!([1, [2]])),
        ("#{1 2}", json!([1, 2])),
        ("{:a 1, \"b\" {2 3}, nil 4, true 5}", json!({"a":1,"b":{"2":3},"nil":4,"true":5})),
        ("{[1 \"x\"] :y}", json!({"[1 \"x\"]": "y"})),
        ("#:node{:a 1}", json!({"node/a": 1})),
        ("#jepsen.independent.Tuple[1 2]", json!([1, 2])),
        ("#inst \"2020-01-01\"", json!("2020-01-01")),
        ("#object[a.B 0x1f \"s\"]", json!(["a.B", "0x1f", "s"])),
        ("[1 #_2 #_ #_ 3 4 5 ; six\n 7]", json!([1, 5, 7])),
    ] {
        assert_eq!(written(edn), value, "{edn}");
    }
}

#[test]
fn what_has_no_value_is_refused_where_it_stands() {
    for (edn, column, problem) in [
        ("012", 51, "`012` is not a number"),
        ("1x", 51, "`1x` is not a number"),
        ("1/", 51, "`1/` is not a number"),
        ("1.5.2", 51, "`1.5.2` is not a number"),
        ("::a", 51, "`::a` is not a keyword"),
        (":", 51, "`:` is not a keyword"),
        ("'a", 51, "`'a` is not a value"),
        ("^{:a 1} b", 51, "`^` is not a value"),
        (r"\nothing", 51, "not a character"),
        (r#""a\qb""#, 53, "not an escape"),
        (r#""\ud83d""#, 52, "not an escape"),
        (r#""\u+123""#, 52, "not an escape"),
        ("[1 2", 55, "`}` where a value was expected"),
        ("[1 2)", 55, "`)` where a value was expected"),
        ("{:a}", 54, "`}` where a value was expected"),
        ("{:a 1 :a 2}", 57, "the key `a` twice"),
        ("{1 2 \"1\" 3}", 56, "the key `1` twice"),
        ("#", 51, "`#` starts neither"),
        ("#\"a\"", 51, "`#` starts neither"),
        ("##Infinity", 51, "expected ##Inf"),
        ("[1 #_]", 56, "`]` where a value was expected"),
    ] {
        let text = format!(
            "{{:process 0, :type :invoke, :f :read}}\n{{:process 1, :type :invoke, :f :write, :index 0, :value {edn}}}\n"
        );
        let said = refused(Format::Edn, &text);
        let place = format!("line 2, column {}: ", column + 6);
        assert!(said.starts_with(&place) && said.contains(problem), "{edn}: {said}");
    }
}

#[test]
fn what_is_never_closed_is_named_where_it_opens() {
    for (text, place) in [
        ("\n[{:process 0, :type :invoke, :f :write, :value 1}", "line 2, column 1: "),
        ("{:process 0,\n :value [1 2", "line 2, column 9: "),
        ("{:process 0, :value \"abc}\n", "line 1, column 21: "),
        ("{:process 0", "line 1, column 1: "),
    ] {
        let said = refused(Format::Edn, text);
        assert!(said.starts_with(place) && said.contains("never closed"), "{text}: {said}");
    }
}

/// Deep nesting would exhaust the stack of a reader without a limit, and keys within keys its
/// memory.
#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{1 ", "}"), ("#{", "}"), ("#a ", ""), ("#_ ", " 1")] {
        let deep = |depth: usize| {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            format!("{{:process 0, :type :invoke, :f :write, :value {value}}}")
        };
        let read = |text: String| {
            read_foreign(text.as_bytes(), &ForeignOptions::new(Format::Edn)).map(drop)
        };
        assert!(read(deep(100)).is_ok() || open == "#_ ", "{open}");
        for depth in [200, 100_000] {
            let said = read(deep(depth)).unwrap_err().to_string();
            assert!(said.contains("nested deeper than"), "{open}: {said}");
        }
    }
    let keys = format!("{}\"\\\"\"{}", "{".repeat(16), " 1}".repeat(16));
    assert!(written(&keys).to_string().len() < 10 * keys.len(), "quotes of quotes were quoted");
}
