use tracing::Level;

use super::*;
use crate::record::{Encoder, Header, begin_span};

const HEADER: Header = Header {
    micros: 1_796_083_199_000_001,
    level: Level::INFO,
    target: "shop",
    file: None,
    line: None,
};

fn line(format: Format, encode: impl FnOnce(&mut Encoder<'_>)) -> String {
    let mut fields = Vec::new();
    encode(&mut Encoder::new(&mut fields, 1_000_000));
    let (header, fields) = (&HEADER, &*fields);
    let mut out = Vec::new();
    format.write(&Record { header, fields }, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn sold(encoder: &mut Encoder<'_>) {
    encoder.text("message", "sold");
    encoder.text("article", "green tea");
    encoder.number("count", 3);
    begin_span(encoder.bytes, "inner");
    begin_span(encoder.bytes, "request");
    encoder.number("id", 7);
    encoder.text("name", "x=1");
}

#[test]
fn a_line_of_text_has_all_parts() {
    let expected = "2026-11-30T23:59:59.000001Z  INFO request{id=7 name=\"x=1\"}:inner: shop: sold article=\"green tea\" count=3\n";
    assert_eq!(line(Format::Text, sold), expected);
}

#[test]
fn a_line_of_json_has_all_parts() {
    let expected = concat!(
        r#"{"time":"2026-11-30T23:59:59.000001Z","level":"INFO","target":"shop","message":"sold","#,
        r#""fields":{"article":"green tea","count":3},"#,
        r#""spans":[{"name":"request","id":7,"name_":"x=1"},{"name":"inner"}]}"#,
        "\n"
    );
    assert_eq!(line(Format::Json, sold), expected);
}

#[test]
fn no_character_begins_a_line_or_controls_a_terminal() {
    let all: String = (0..0x3000)
        .filter_map(char::from_u32)
        .chain(['\u{feff}', '😀'])
        .collect();
    for format in [Format::Text, Format::Json] {
        let line = line(format, |encoder| {
            encoder.text("message", &all);
            encoder.text("a", &all);
            begin_span(encoder.bytes, "a\nb\u{1b}");
        });
        let (body, end) = line.split_at(line.len() - 1);
        assert_eq!(end, "\n");
        assert!(!body.contains(escape::is_unsafe), "{body:?}");
        if format == Format::Json {
            let value: serde_json::Value = serde_json::from_str(body).expect("JSON");
            // Too long to be shown.
            assert!(value["message"] == all && value["fields"]["a"] == all);
        }
    }
}

#[test]
fn a_value_cannot_pretend_to_be_more_fields() {
    let text = line(Format::Text, |encoder| {
        encoder.text("user", "x admin=true\" y");
    });
    assert!(
        text.ends_with("shop: user=\"x admin=true\\\" y\"\n"),
        "{text}"
    );
}
