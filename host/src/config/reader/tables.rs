//! Tables within a table.

use toml::de::{DeArray, DeValue};

use super::{Section, Text, plain};
use crate::config::fault::{Code, Located};
use crate::config::references::Unresolved;

impl<'a> Section<'a> {
    /// A table with keys of its own. An absent one is read as an empty one, so that its overrides and defaults count.
    pub(crate) fn within<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
        let entry = self.entry(key);
        let table = entry.as_ref().and_then(|(place, value)| self.as_table(key, value.get_ref(), place));
        let place = entry.map_or_else(|| self.place.clone(), |(place, _)| place);
        read_whole(self.child(key, table, place), read)
    }

    /// Whether a table stands under the key, which may take another kind of value as well.
    pub(crate) fn is_table(&mut self, key: &'static str) -> bool {
        self.entry(key).is_some_and(|(_, value)| value.get_ref().is_table())
    }

    /// The same, where `false` stands for having none: then it is `None`.
    pub(crate) fn within_unless_false<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> Option<T> {
        match self.entry(key) {
            Some((_, value)) if value.get_ref().as_bool() == Some(false) => None,
            Some((place, value)) if !value.get_ref().is_table() => {
                self.wrong_type(key, value.get_ref(), &place, "a table, or false");
                None
            }
            _ => Some(self.within(key, read)),
        }
    }

    /// A table of tables under free names; with each goes whether it is sound: no fault was found in it.
    pub(crate) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Located<String>, &mut Section<'a>) -> T,
    ) -> Vec<(T, bool)> {
        let Some((place, value)) = self.entry(key) else { return Vec::new() };
        let Some(table) = self.as_table(key, value.get_ref(), &place) else { return Vec::new() };
        let parent = self.child(key, None, place);
        let sections = table.iter().filter_map(|(name, value)| {
            let name = Located { value: name.get_ref().to_string(), place: self.document.place(name.span()) };
            let table = parent.as_table(&name.value, value.get_ref(), &name.place)?;
            let child = parent.child(&name.value, Some(table), name.place.clone());
            let before = self.document.fault_count();
            let value = read_whole(child, |section| read(&name, section));
            Some((value, self.document.fault_count() == before))
        });
        sections.collect()
    }

    /// A list of tables, `[[key]]`. An absent one is `None`, which differs from an empty one.
    pub(crate) fn each<T>(
        &mut self,
        key: &'static str,
        most: usize,
        mut read: impl FnMut(&mut Section<'a>) -> T,
    ) -> Option<Located<Vec<T>>> {
        let (place, value) = self.entry(key)?;
        let Some(items): Option<&'a DeArray<'a>> = value.get_ref().as_array() else {
            self.wrong_type(key, value.get_ref(), &place, &format!("tables, each headed by [[{key}]]"));
            return None;
        };
        if items.len() > most {
            let message = format!("`{key}` has {} sections", items.len());
            self.report(&place, Code::InvalidValue, message, format!("write at most {most}"));
        }
        let sections = items.iter().take(most).filter_map(|item| {
            let place = self.document.place(item.span());
            let table = self.as_table(key, item.get_ref(), &place)?;
            Some(read_whole(self.child(key, Some(table), place), &mut read))
        });
        Some(Located { value: sections.collect(), place })
    }

    /// A list of texts and of tables that say more, each read by one of the two.
    pub(crate) fn texts_and_tables<T>(
        &mut self,
        key: &'static str,
        example: &str,
        text: impl Fn(&Self, Located<Text>) -> Option<T>,
        table: impl Fn(&mut Section<'a>) -> Option<T>,
    ) -> Vec<Located<T>> {
        let Some((place, value)) = self.entry(key) else { return Vec::new() };
        let Some(items): Option<&'a DeArray<'a>> = value.get_ref().as_array() else {
            self.wrong_type(key, value.get_ref(), &place, &format!("a list: [\"{example}\"]"));
            return Vec::new();
        };
        let read = items.iter().filter_map(|item| {
            let place = self.document.place(item.span());
            let value = match item.get_ref() {
                DeValue::Table(items) => read_whole(self.child(key, Some(items), place.clone()), &table)?,
                other => {
                    let value = self.as_text(key, other, &place, example)?;
                    text(self, Located { value, place: place.clone() })?
                }
            };
            Some(Located { value, place })
        });
        read.collect()
    }

    /// A table of texts under free names, in the file's order. Numbers and booleans count as the text that they are written as.
    pub(crate) fn entries(&mut self, key: &'static str) -> Vec<(Located<String>, Located<Text>)> {
        let references = self.document.references;
        let text = |written: &str| Ok(Text { value: references.resolve(written)?, shown: written.to_owned() });
        self.entries_with(key, text)
    }

    /// The same for texts in which references have a meaning of their own.
    pub(crate) fn entries_with<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Unresolved>,
    ) -> Vec<(Located<String>, Located<T>)> {
        let Some((place, value)) = self.entry(key) else { return Vec::new() };
        let Some(table) = self.as_table(key, value.get_ref(), &place) else { return Vec::new() };
        let parent = self.child(key, None, place);
        let mut written: Vec<_> = table.iter().collect();
        written.sort_by_key(|(name, _)| name.span().start);
        let entries = written.into_iter().filter_map(|(name, value)| {
            let place = self.document.place(name.span());
            let text = match value.get_ref() {
                DeValue::String(text) => text.as_ref(),
                DeValue::Integer(number) => &number.to_string(),
                DeValue::Boolean(true) => "true",
                DeValue::Boolean(false) => "false",
                other => {
                    parent.wrong_type(name.get_ref(), other, &place, "a text: text");
                    return None;
                }
            };
            let value = parent.resolved(name.get_ref(), &place, read(text))?;
            let name = Located { value: name.get_ref().to_string(), place: place.clone() };
            Some((name, Located { value, place }))
        });
        entries.collect()
    }

    /// The overrides of a table of free names: the rest of each one's path, in lower case, and its value.
    pub(crate) fn overrides_of(&self, key: &str) -> Vec<(String, Located<Text>)> {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        let found = self.document.overrides.map(|overrides| overrides.below(&path)).unwrap_or_default();
        let texts = found.into_iter().filter_map(|(rest, found)| {
            let Some(value) = found.value else {
                self.report(&found.place, Code::InvalidValue, "the value is not UTF-8", "set it to UTF-8 text");
                return None;
            };
            Some((rest, Located { value: plain(value), place: found.place }))
        });
        texts.collect()
    }
}

/// Reads a section to its end: what `read` does not take is reported.
fn read_whole<'a, T>(mut section: Section<'a>, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
    let value = read(&mut section);
    section.finish();
    value
}
