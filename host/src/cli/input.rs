//! What several commands take from a person: headers, data, and places of the person's own.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use anyhow::Context;
use bytes::Bytes;
use callgate_core::route::Operation;

use crate::config;

/// `NAME=VALUE`.
pub(super) fn pair(argument: &str) -> Result<(String, String), String> {
    let (name, value) = argument.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A method and a path. Checked here, so that a mistake is told of the argument; kept as text.
pub(super) fn operation(argument: &str) -> Result<String, String> {
    Operation::parse(argument, &BTreeMap::new()).map(|_| argument.to_owned())
}

/// Text, `@FILE`, or `@-` for stdin.
pub(super) fn data(argument: &str) -> anyhow::Result<Bytes> {
    match argument.strip_prefix('@') {
        None => Ok(argument.to_owned().into()),
        Some("-") => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).context("stdin cannot be read")?;
            Ok(bytes.into())
        }
        Some(path) => Ok(fs::read(path).with_context(|| format!("the data, {path}, cannot be read"))?.into()),
    }
}

/// The handler's name as a deploy directory would give it: the file's, without its ending.
pub(super) fn handler_name(component: &Path) -> String {
    let stem = component.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if config::is_name(stem) { stem.to_owned() } else { "handler".to_owned() }
}

/// Where a person's compiled code is kept: `callgate/compiled` in the user's own cache folder.
pub(super) fn cache_dir() -> PathBuf {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = rustix::process::geteuid().as_raw();
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache"))).map_or_else(
        || env::temp_dir().join(format!("callgate-{user}")),
        |cache| cache.join("callgate").join("compiled"),
    )
}
