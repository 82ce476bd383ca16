//! `x-kafka-encoded-headers`: which fields stand for bytes or nulls that HTTP cannot carry.
//!
//! The field is a comma-separated list of field names. All values of a listed name are base64. `name;null` says that
//! its only value is null, `name;null=0.2` that its first and third are; those values are empty.

use std::collections::BTreeSet;
use std::fmt::Write;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::field;

#[cfg(test)]
mod tests;

/// Base64 as guests write it, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes base64, padded or not.
pub(crate) fn base64(text: &[u8]) -> Option<Bytes> {
    BASE64.decode(text).ok().map(Bytes::from)
}

/// Collects what a request encodes, and writes the list.
#[derive(Default)]
pub(crate) struct EncodedNames {
    names: HeaderMap<Values>,
}

/// The values of one name that have been encoded.
#[derive(Default)]
struct Values {
    count: usize,
    nulls: Vec<usize>,
}

impl EncodedNames {
    /// Says that a value of that name needs encoding, so that all of that name are.
    pub(crate) fn insert(&mut self, name: &HeaderName) {
        self.names.entry(name).or_insert_with(Values::default);
    }

    /// Whether the values of that name are to be encoded.
    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        self.names.contains_key(name)
    }

    /// Encodes the next value of that name.
    pub(crate) fn encode(&mut self, name: &HeaderName, value: Option<&Bytes>) -> HeaderValue {
        let values = self.names.entry(name).or_insert_with(Values::default);
        let place = values.count;
        values.count += 1;
        match value {
            Some(bytes) => field::base64(bytes),
            None => {
                values.nulls.push(place);
                HeaderValue::from_static("")
            }
        }
    }

    /// The list; `None` where nothing is encoded.
    pub(crate) fn list(&self) -> Option<HeaderValue> {
        let mut list = String::new();
        for (name, values) in &self.names {
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(name.as_str());
            match values.nulls.split_first() {
                None => {}
                Some(_) if values.count == 1 => list.push_str(";null"),
                Some((first, others)) => {
                    let _infallible = write!(list, ";null={first}");
                    for place in others {
                        let _infallible = write!(list, ".{place}");
                    }
                }
            }
        }
        if list.is_empty() { None } else { HeaderValue::try_from(list).ok() }
    }
}

/// The decoded values of the fields that a message lists as encoded.
pub(crate) type Decoded = HeaderMap<Vec<Option<Bytes>>>;

/// Reads the list of a message and decodes the fields it names. A listed field that the message does not have counts
/// for nothing: a handler may pass the list on and leave out a field. Each name counts once, where it stands first, so
/// that a long list cannot make the host decode the same values over and over. The error says what is wrong.
pub(crate) fn decode(headers: &HeaderMap) -> Result<Decoded, String> {
    let mut decoded = Decoded::default();
    for list in headers.get_all(&field::KAFKA_ENCODED_HEADERS) {
        let list = list.to_str().map_err(|_| "`x-kafka-encoded-headers` is not ASCII".to_owned())?;
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, nulls) = parse_item(item).ok_or_else(|| {
                format!("`{item}` in `x-kafka-encoded-headers` is none of `name`, `name;null` and `name;null=0.2`")
            })?;
            if headers.contains_key(&name) && !decoded.contains_key(&name) {
                let values = decode_values(headers, &name, &nulls)?;
                decoded.try_insert(name, values).map_err(|_| "`x-kafka-encoded-headers` names too many headers")?;
            }
        }
    }
    Ok(decoded)
}

/// The name of an item of the list, and the places of its nulls.
fn parse_item(item: &str) -> Option<(HeaderName, BTreeSet<usize>)> {
    let (name, nulls) = match item.split_once(';') {
        None => (item, BTreeSet::new()),
        Some((name, parameter)) => (name, parse_nulls(parameter.trim())?),
    };
    Some((HeaderName::try_from(name.trim()).ok()?, nulls))
}

fn parse_nulls(parameter: &str) -> Option<BTreeSet<usize>> {
    if parameter == "null" {
        return Some(BTreeSet::from([0]));
    }
    parameter.strip_prefix("null=")?.split('.').map(|place| place.parse().ok()).collect()
}

fn decode_values(
    headers: &HeaderMap,
    name: &HeaderName,
    nulls: &BTreeSet<usize>,
) -> Result<Vec<Option<Bytes>>, String> {
    let values = headers.get_all(name).iter().enumerate();
    values
        .map(|(place, value)| {
            if nulls.contains(&place) {
                return Ok(None);
            }
            let bytes = base64(value.as_bytes());
            bytes.map(Some).ok_or_else(|| format!("`{name}` is listed in `x-kafka-encoded-headers` and is not base64"))
        })
        .collect()
}
