//! Takes values out of a TOML table, key by key, and collects what is wrong instead of stopping at it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::fault::{Code, Fault, Located, Place};
use super::references::Unresolved;
use super::suggest;
use super::units::Quantity;

mod tables;

/// A table that is being read.
///
/// Each method takes one key. An absent key gives `None`; a faulty one is reported and gives `None` too, so that the
/// reading goes on with the default and finds the next fault. What was never taken is reported by [`Section::finish`].
pub(crate) struct Section<'a> {
    document: &'a Document<'a>,
    table: Option<&'a DeTable<'a>>,
    /// The path with the names that the file has, for messages and overrides.
    path: Vec<String>,
    place: Place,
    known: BTreeSet<&'static str>,
}

/// A text and how it may be shown: as it was written, so that what a reference stands for is not printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) shown: String,
}

/// A value as it was written: in the file, or in the environment.
enum Raw<'a> {
    File(&'a DeValue<'a>),
    Environment(Option<String>),
}

impl<'a> Section<'a> {
    pub(crate) fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        let place = document.whole();
        Self { document, table: Some(table), path: Vec::new(), place, known: BTreeSet::new() }
    }

    fn child(&self, key: &str, table: Option<&'a DeTable<'a>>, place: Place) -> Section<'a> {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        Section { document: self.document, table, path, place, known: BTreeSet::new() }
    }

    /// Where the section begins.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the key is written at all.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// The path of a key, as messages name it.
    pub(crate) fn path(&self, key: &str) -> String {
        join(&self.path.join("."), key)
    }

    /// Reports a fault found by whoever reads this section.
    pub(crate) fn report(&self, place: &Place, code: Code, message: impl Into<String>, hint: impl Into<String>) {
        self.document.report(Fault::new(place, code, message, hint));
    }

    /// Adds a fault found by whoever reads this section.
    pub(crate) fn add(&self, fault: Fault) {
        self.document.report(fault);
    }

    /// Reads with `read` and says whether that found no fault.
    pub(crate) fn is_sound<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        let before = self.document.fault_count();
        let value = read(self);
        (value, self.document.fault_count() == before)
    }

    fn entry(&mut self, key: &'static str) -> Option<(Place, &'a Spanned<DeValue<'a>>)> {
        self.known.insert(key);
        let (written, value) = self.table?.get_key_value(key)?;
        Some((self.document.place(written.span()), value))
    }

    fn scalar(&mut self, key: &'static str) -> Option<Located<Raw<'a>>> {
        let entry = self.entry(key);
        let found = self.document.overrides.and_then(|overrides| {
            let mut path = self.path.clone();
            path.push(key.to_owned());
            overrides.get(&path)
        });
        match (found, entry) {
            (Some(found), _) => Some(Located { value: Raw::Environment(found.value), place: found.place }),
            (None, Some((place, value))) => Some(Located { value: Raw::File(value.get_ref()), place }),
            (None, None) => None,
        }
    }

    /// A text, with its references resolved.
    pub(crate) fn text(&mut self, key: &'static str, example: &str) -> Option<Located<Text>> {
        let Located { value, place } = self.scalar(key)?;
        let text = match value {
            Raw::Environment(Some(value)) => Text { shown: value.clone(), value },
            Raw::Environment(None) => {
                self.report(&place, Code::InvalidValue, "the value is not UTF-8", "set it to UTF-8 text");
                return None;
            }
            Raw::File(value) => self.as_text(key, value, &place, example)?,
        };
        Some(Located { value: text, place })
    }

    fn as_text(&self, key: &str, value: &DeValue<'_>, place: &Place, example: &str) -> Option<Text> {
        let Some(written) = value.as_str() else {
            self.wrong_type(key, value, place, &format!("a text: {example}"));
            return None;
        };
        let value = self.resolved(key, place, self.document.references.resolve(written))?;
        Some(Text { value, shown: written.to_owned() })
    }

    fn resolved<T>(&self, key: &str, place: &Place, resolved: Result<T, Unresolved>) -> Option<T> {
        resolved
            .map_err(|Unresolved { message, hint }| {
                self.report(place, Code::Reference, format!("`{}`: {message}", self.path(key)), hint);
            })
            .ok()
    }

    /// A whole number within a range.
    pub(crate) fn count(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<Located<u64>> {
        let Located { value, place } = self.scalar(key)?;
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let (shown, number) = match value {
            Raw::Environment(text) => {
                let text = text.unwrap_or_default();
                (format!("\"{text}\""), text.parse().ok())
            }
            Raw::File(DeValue::Integer(number)) => {
                let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
                (number.to_string(), value.and_then(|value| u64::try_from(value).ok()))
            }
            Raw::File(other) => {
                self.wrong_type(key, other, &place, &wanted);
                return None;
            }
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{}` is {shown}", self.path(key));
            self.report(&place, Code::InvalidValue, message, format!("write {wanted}"));
        }
        Some(Located { value: number?, place })
    }

    /// A number within a range, whole or with a fraction.
    pub(crate) fn number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<Located<f64>> {
        let Located { value, place } = self.scalar(key)?;
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        let (shown, number) = match value {
            Raw::Environment(text) => {
                let text = text.unwrap_or_default();
                (format!("\"{text}\""), text.parse().ok())
            }
            Raw::File(DeValue::Integer(number)) => {
                let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
                (number.to_string(), value.map(|value| value as f64))
            }
            Raw::File(DeValue::Float(number)) => (number.to_string(), number.as_str().parse().ok()),
            Raw::File(other) => {
                self.wrong_type(key, other, &place, &wanted);
                return None;
            }
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{}` is {shown}", self.path(key));
            self.report(&place, Code::InvalidValue, message, format!("write {wanted}"));
        }
        Some(Located { value: number?, place })
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let Located { value, place } = self.scalar(key)?;
        match value {
            Raw::File(DeValue::Boolean(value)) => Some(*value),
            Raw::File(other) => {
                self.wrong_type(key, other, &place, "true or false, without quotes");
                None
            }
            Raw::Environment(text) => {
                let value = text.as_deref().and_then(|text| text.parse().ok());
                if value.is_none() {
                    let message = format!("`{}` is \"{}\"", self.path(key), text.unwrap_or_default());
                    self.report(&place, Code::InvalidValue, message, "write true or false");
                }
                value
            }
        }
    }

    /// A duration or a size within a range.
    pub(crate) fn quantity<T: Quantity>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<Located<T>> {
        let Located { value: Text { value, shown }, place } = self.text(key, T::EXAMPLES)?;
        let path = self.path(key);
        let Some(value) = T::parse(&value) else {
            let message = format!("`{path}` is \"{shown}\", which is no {}", T::KIND);
            self.report(&place, T::FAULT, message, format!("write a whole number and a unit: {}", T::EXAMPLES));
            return None;
        };
        if !range.contains(&value) {
            let hint = format!("write a {} from {} to {}", T::KIND, range.start().show(), range.end().show());
            self.report(&place, Code::InvalidValue, format!("`{path}` is \"{shown}\""), hint);
            return None;
        }
        Some(Located { value, place })
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<Located<T>> {
        let text = self.text(key, words.first()?.0)?;
        let written = text.value.value.as_str();
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == written) {
            return Some(Located { value: *value, place: text.place });
        }
        let hint = match suggest::nearest(written, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => {
                let listed: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                format!("write {}", listed.join(" or "))
            }
        };
        let message = format!("`{}` is \"{}\"", self.path(key), text.value.shown);
        self.report(&text.place, Code::InvalidValue, message, hint);
        None
    }

    /// A list of texts, each with its own place.
    pub(crate) fn texts(&mut self, key: &'static str, example: &str) -> Option<Vec<Located<Text>>> {
        let (place, value) = self.entry(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value.get_ref(), &place, &format!("a list of texts: [\"{example}\"]"));
            return None;
        };
        let texts = items.iter().filter_map(|item| {
            let place = self.document.place(item.span());
            let value = self.as_text(key, item.get_ref(), &place, example)?;
            Some(Located { value, place })
        });
        Some(texts.collect())
    }

    fn as_table(&self, key: &str, value: &'a DeValue<'a>, place: &Place) -> Option<&'a DeTable<'a>> {
        let table = value.as_table();
        if table.is_none() {
            self.wrong_type(key, value, place, "a table");
        }
        table
    }

    fn wrong_type(&self, key: &str, value: &DeValue<'_>, place: &Place, wanted: &str) {
        let found = match value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` is {found}", self.path(key));
        self.report(place, Code::WrongType, message, format!("write {wanted}"));
    }

    /// Reports the keys that nobody took.
    pub(crate) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let (name, place) = (key.get_ref().as_ref(), self.document.place(key.span()));
            if self.known.contains(name) {
                continue;
            }
            let hint = match suggest::nearest(name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.report(&place, Code::UnknownKey, format!("`{}` is not a key of this file", self.path(name)), hint);
        }
    }
}

fn plain(value: String) -> Text {
    Text { shown: value.clone(), value }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
