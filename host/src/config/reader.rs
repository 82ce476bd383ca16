//! Takes values out of a TOML table, key by key, and collects what is wrong instead of stopping at it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::fault::{Code, Fault, Located, Place};
use super::suggest;
use super::units::{ShownDuration, ShownSize, parse_duration, parse_size};
use super::unsupported::{self, Written};

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
    /// The path with `*` for free names, for the table of unsupported keys.
    shape: String,
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
        Self { document, table: Some(table), path: Vec::new(), shape: String::new(), place, known: BTreeSet::new() }
    }

    fn child(&self, key: &str, shape: &str, table: Option<&'a DeTable<'a>>, place: Place) -> Section<'a> {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        let shape = join(&self.shape, shape);
        Section { document: self.document, table, path, shape, place, known: BTreeSet::new() }
    }

    /// Where the section begins.
    pub(crate) fn place(&self) -> &Place {
        &self.place
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
            self.wrong_type(key, value, place, &format!("a text such as \"{example}\""));
            return None;
        };
        match self.document.references.resolve(written) {
            Ok(value) => Some(Text { value, shown: written.to_owned() }),
            Err(unresolved) => {
                let message = format!("`{}`: {}", self.path(key), unresolved.message);
                self.report(place, unresolved.code, message, unresolved.hint);
                None
            }
        }
    }

    /// A whole number within a range.
    pub(crate) fn count(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<Located<u64>> {
        let Located { value, place } = self.scalar(key)?;
        let number = match &value {
            Raw::Environment(value) => value.as_deref().and_then(|text| text.parse().ok()),
            Raw::File(DeValue::Integer(number)) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            Raw::File(other) => {
                self.wrong_type(key, other, &place, &format!("a whole number such as {}", range.start()));
                return None;
            }
        };
        let number = number.and_then(|number| u64::try_from(number).ok()).filter(|number| range.contains(number));
        if number.is_none() {
            let message =
                format!("`{}` takes a whole number from {} to {}", self.path(key), range.start(), range.end());
            self.report(&place, Code::InvalidValue, message, "write a number within that range");
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
            Raw::Environment(value) => match value.as_deref() {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => {
                    let message = format!("`{}` takes true or false", self.path(key));
                    self.report(&place, Code::InvalidValue, message, "write one of the two");
                    None
                }
            },
        }
    }

    /// A duration within a range.
    pub(crate) fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Located<Duration>> {
        let text = self.text(key, "5s")?;
        let shown = |duration: &Duration| ShownDuration(*duration);
        self.quantity(
            key,
            text,
            parse_duration,
            &range,
            shown,
            Code::InvalidDuration,
            "a duration such as 250ms, 5s, 2m or 1h",
        )
    }

    /// A number of bytes within a range.
    pub(crate) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<Located<u64>> {
        let text = self.text(key, "64KiB")?;
        let shown = |size: &u64| ShownSize(*size);
        self.quantity(
            key,
            text,
            parse_size,
            &range,
            shown,
            Code::InvalidSize,
            "a size such as 512B, 64KiB, 16MiB or 2GiB",
        )
    }

    #[allow(clippy::too_many_arguments, reason = "what durations and sizes differ in, each named at its two callers")]
    fn quantity<T: PartialOrd, S: Display>(
        &self,
        key: &str,
        text: Located<Text>,
        parse: fn(&str) -> Option<T>,
        range: &RangeInclusive<T>,
        shown: impl Fn(&T) -> S,
        code: Code,
        kind: &str,
    ) -> Option<Located<T>> {
        let (path, written) = (self.path(key), &text.value.shown);
        let Some(value) = parse(&text.value.value) else {
            self.report(
                &text.place,
                code,
                format!("`{path}` is \"{written}\", which is not {kind}"),
                "write a whole number and a unit",
            );
            return None;
        };
        if !range.contains(&value) {
            let message =
                format!("`{path}` is \"{written}\"; it takes {} to {}", shown(range.start()), shown(range.end()));
            self.report(&text.place, Code::InvalidValue, message, "write a value within that range");
            return None;
        }
        Some(Located { value, place: text.place })
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<Located<T>> {
        if let Some((place, value)) = self.entry(key)
            && value.get_ref().is_table()
            && self.is_unsupported(key, Written::Table, &place)
        {
            return None;
        }
        let text = self.text(key, words.first()?.0)?;
        let written = text.value.value.as_str();
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == written) {
            return Some(Located { value: *value, place: text.place });
        }
        if self.is_unsupported(key, Written::Text(written), &text.place) {
            return None;
        }
        let listed: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let message = format!("`{}` is \"{}\"; it takes {}", self.path(key), text.value.shown, listed.join(" or "));
        let hint = match suggest::nearest(written, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "write one of these".to_owned(),
        };
        self.report(&text.place, Code::InvalidValue, message, hint);
        None
    }

    /// A list of texts, each with its own place.
    pub(crate) fn texts(&mut self, key: &'static str, example: &str) -> Option<Vec<Located<Text>>> {
        let (place, value) = self.entry(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value.get_ref(), &place, &format!("a list of texts such as [\"{example}\"]"));
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
        let message = format!("`{}` is {found}; it takes {wanted}", self.path(key));
        self.report(place, Code::WrongType, message, "write a value of that type");
    }

    fn is_unsupported(&self, key: &str, written: Written<'_>, place: &Place) -> bool {
        let Some(instead) = unsupported::instead(&join(&self.shape, key), written) else { return false };
        let what = match written {
            Written::Key => format!("`{}`", self.path(key)),
            Written::Text(text) => format!("`{}` = \"{text}\"", self.path(key)),
            Written::Table => format!("`{}` with a table", self.path(key)),
        };
        self.report(place, Code::Unsupported, format!("{what} is not supported by this version"), instead);
        true
    }

    /// Reports the keys that nobody took.
    pub(crate) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let (name, place) = (key.get_ref().as_ref(), self.document.place(key.span()));
            if self.known.contains(name) || self.is_unsupported(name, Written::Key, &place) {
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
