//! A record as a command prints it.

use std::fmt::Write as _;
use std::io::{self, Write};

use base64::prelude::{BASE64_STANDARD, Engine};
use callgate_core::record::{Header, OutgoingRecord, Record};
use http::StatusCode;
use serde_json::{Value, json};

use super::Format;

/// The header that says how a request ended.
const STATUS_CODE: &str = "status-code";

/// What is printed of a record, whether it was consumed or is to be produced.
pub(super) struct Printed<'a> {
    topic: &'a str,
    partition: Option<i32>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [Header],
}

impl<'a> From<&'a OutgoingRecord> for Printed<'a> {
    fn from(record: &'a OutgoingRecord) -> Self {
        Self {
            topic: &record.topic,
            partition: record.partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
        }
    }
}

impl<'a> From<&'a Record> for Printed<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            topic: &record.coordinate.topic,
            partition: Some(record.coordinate.partition),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
        }
    }
}

/// Prints a record.
pub(super) fn record<'a>(record: impl Into<Printed<'a>>, format: Format, out: &mut impl Write) -> io::Result<()> {
    let record = record.into();
    match format {
        Format::Text => out.write_all(text(&record).as_bytes()),
        Format::Json => writeln!(out, "{}", json(&record)),
    }
}

/// One line with the names in the order in which a record is read; what is not UTF-8 as `{"base64": ".."}`.
fn json(record: &Printed<'_>) -> String {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|header| json!([value(Some(&header.name)), value(header.value.as_deref())]))
        .collect();
    format!(
        r#"{{"topic":{},"partition":{},"key":{},"value":{},"headers":{}}}"#,
        json!(record.topic),
        json!(record.partition),
        value(record.key),
        value(record.value),
        Value::Array(headers),
    )
}

fn value(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

/// Like an HTTP response: a line that says how it ended and where it goes, the headers, and the body.
fn text(record: &Printed<'_>) -> String {
    let mut text = String::new();
    if let Some(status) = status(record) {
        let _ = write!(text, "{status} → ");
    }
    text.push_str(record.topic);
    if let Some(partition) = record.partition {
        let _ = write!(text, ", partition {partition}");
    }
    if let Some(key) = record.key {
        let _ = write!(text, ", key {}", shown(key));
    }
    text.push('\n');
    for header in record.headers.iter().filter(|header| !header.is(STATUS_CODE)) {
        let value = header.value.as_deref().map_or_else(|| "(null)".to_owned(), shown);
        let _ = writeln!(text, "{}: {value}", shown(&header.name));
    }
    match record.value {
        None => text.push_str("\n(null)\n"),
        Some(b"") => {}
        Some(body) => {
            let _ = writeln!(text, "\n{}", shown_body(body));
        }
    }
    text
}

fn status(record: &Printed<'_>) -> Option<StatusCode> {
    let header = record.headers.iter().find(|header| header.is(STATUS_CODE))?;
    StatusCode::from_bytes(header.value.as_deref()?).ok()
}

/// Bytes in one line: what is no text, and what would steer the terminal, is escaped.
fn shown(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

fn shown_body(bytes: &[u8]) -> String {
    let steers = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(steers) => text.trim_end_matches('\n').to_owned(),
        _ => format!("({} bytes that are no text; `--format json` shows them)", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> OutgoingRecord {
        OutgoingRecord {
            topic: "cafe.replies".into(),
            partition: None,
            timestamp: None,
            key: Some("table-17".into()),
            value: Some("{}".into()),
            headers: vec![
                Header::new("status-code", "201"),
                Header::new("content-type", "application/json"),
                Header::new("x-bytes", &b"caf\xe9"[..]),
                Header { name: "x-null".into(), value: None },
            ],
        }
    }

    fn printed(reply: &OutgoingRecord, format: Format) -> String {
        let mut out = Vec::new();
        record(reply, format, &mut out).expect("a vector takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn people_read_it_like_a_response() {
        assert_eq!(
            printed(&reply(), Format::Text),
            "201 Created → cafe.replies, key table-17\n\
             content-type: application/json\n\
             x-bytes: caf\\xe9\n\
             x-null: (null)\n\
             \n\
             {}\n"
        );
    }

    #[test]
    fn programs_read_one_object_a_line() {
        assert_eq!(
            printed(&reply(), Format::Json),
            concat!(
                r#"{"topic":"cafe.replies","partition":null,"key":"table-17","value":"{}","#,
                r#""headers":[["status-code","201"],["content-type","application/json"],"#,
                r#"["x-bytes",{"base64":"Y2Fm6Q=="}],["x-null",null]]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_body_does_not_steer_the_terminal() {
        let body =
            |bytes: &'static [u8]| printed(&OutgoingRecord { value: Some(bytes.into()), ..reply() }, Format::Text);
        assert!(body(b"two\nlines\n").ends_with("\n\ntwo\nlines\n"));
        assert!(body(b"\x1b[2J").ends_with("\n\n(4 bytes that are no text; `--format json` shows them)\n"));
        assert!(printed(&OutgoingRecord { value: None, ..reply() }, Format::Text).ends_with("\n\n(null)\n"));
    }
}
