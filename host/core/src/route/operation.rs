//! A method and a path template, from text.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;

use super::Binding;

#[cfg(test)]
mod tests;

/// A method and a path with parameters, for instance `POST /orders/{id}`, every parameter bound to its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The request's method.
    pub method: Method,
    /// The path's parts in order: literals (with their slashes) and bound parameters.
    pub path: Vec<PathPart>,
}

/// A piece of a path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPart {
    /// Text that stands as it is.
    Literal(String),
    /// A parameter: one whole segment, filled from the record.
    Parameter {
        /// Its name within the braces.
        name: String,
        /// Where its value comes from.
        from: Binding,
    },
}

impl Operation {
    /// Reads `METHOD /path/{parameter}`. A parameter that `bindings` does not name is the record header of the same
    /// name. The error is a sentence for whoever wrote the operation.
    pub fn parse(text: &str, bindings: &BTreeMap<String, Binding>) -> Result<Self, String> {
        let (method, path) = text.split_once(' ').ok_or_else(|| {
            format!("`{text}` is no operation: write a method and a path, for instance `POST /orders/{{id}}`")
        })?;
        let path = path.trim_start();
        Ok(Self { method: parse_method(method)?, path: parse_path(path, bindings)? })
    }

    /// The names of the path's parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.bound().map(|(name, _)| name)
    }

    /// Where their values come from.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bound().map(|(_, from)| from)
    }

    fn bound(&self) -> impl Iterator<Item = (&str, &Binding)> {
        self.path.iter().filter_map(|part| match part {
            PathPart::Literal(_) => None,
            PathPart::Parameter { name, from } => Some((name.as_str(), from)),
        })
    }
}

/// As it would be written.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method)?;
        self.path.iter().try_for_each(|part| match part {
            PathPart::Literal(text) => f.write_str(text),
            PathPart::Parameter { name, .. } => write!(f, "{{{name}}}"),
        })
    }
}

fn parse_method(method: &str) -> Result<Method, String> {
    // CONNECT has no path, and a method of lowercase letters is another method than the one that was meant.
    match Method::from_bytes(method.as_bytes()) {
        Ok(parsed) if parsed != Method::CONNECT && !method.bytes().any(|byte| byte.is_ascii_lowercase()) => Ok(parsed),
        _ => Err(format!(
            "`{method}` is no method for a handler: use one like GET, POST, PUT, PATCH or DELETE, in capitals"
        )),
    }
}

fn parse_path(path: &str, bindings: &BTreeMap<String, Binding>) -> Result<Vec<PathPart>, String> {
    let segments = path.strip_prefix('/').ok_or_else(|| format!("the path `{path}` must begin with `/`"))?;
    let mut parts = Vec::new();
    let mut literal = String::new();
    for segment in segments.split('/') {
        literal.push('/');
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => {
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
                    return Err(format!(
                        "`{{{name}}}` is no parameter: its name is of letters, digits, `-`, `_` and `.`"
                    ));
                }
                let from = bindings.get(name).cloned().unwrap_or_else(|| Binding::Header(name.into()));
                parts.push(PathPart::Literal(std::mem::take(&mut literal)));
                parts.push(PathPart::Parameter { name: name.to_owned(), from });
            }
            None => {
                check_segment(path, segment)?;
                literal.push_str(segment);
            }
        }
    }
    if !literal.is_empty() {
        parts.push(PathPart::Literal(literal));
    }
    Ok(parts)
}

fn check_segment(path: &str, segment: &str) -> Result<(), String> {
    if segment.contains(['{', '}']) {
        return Err(format!(
            "in the path `{path}`, `{segment}` mixes text and parameters: a parameter is a whole segment"
        ));
    }
    if segment.contains(['?', '#']) {
        return Err(format!("the path `{path}` must not hold a query or a fragment: use the route's `query` mapping"));
    }
    // The unreserved characters, sub-delimiters, `:` and `@` of RFC 3986, and percent-encoded bytes.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte);
    let encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !segment.bytes().all(legal) || !segment.split('%').skip(1).all(encoded) {
        return Err(format!("in the path `{path}`, `{segment}` has a character that must be percent-encoded"));
    }
    if matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..") {
        return Err(format!("the path `{path}` must not hold the segment `{segment}`"));
    }
    Ok(())
}
