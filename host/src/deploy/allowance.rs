//! What the manifests of one tenant may take of the host's time and memory. They are a stranger's, and all of them are read
//! whenever the deploy directory has changed.

use super::snapshot::Source;
use crate::config::{Code, Fault, HandlerRoute, Place};

/// Handlers of one tenant.
const HANDLERS: usize = 1000;
/// Bytes of all its manifests.
const BYTES: usize = 4 << 20;
/// Routes of all its handlers.
const ROUTES: usize = 4096;
/// Those of them that have a pattern.
const PATTERNS: usize = 256;

/// What is left of it. The first handler that wants more than there is, in the order of names, and all behind it go without.
pub(super) struct Allowance {
    handlers: usize,
    bytes: usize,
    routes: usize,
    patterns: usize,
    /// What was used up.
    over: Option<String>,
}

impl Allowance {
    pub(super) fn of_a_tenant() -> Self {
        Self { handlers: HANDLERS, bytes: BYTES, routes: ROUTES, patterns: PATTERNS, over: None }
    }

    /// Whether a handler's manifest may be read.
    ///
    /// # Errors
    /// The handler's fault, which stands at `place`.
    pub(super) fn read(&mut self, source: &Source, place: &Place) -> Result<(), Fault> {
        let text = source.manifest.as_ref().and_then(|text| text.as_ref().ok());
        self.take(place, |left| {
            left.handlers = left.handlers.checked_sub(1).ok_or(format!("{HANDLERS} handlers"))?;
            let bytes = text.map_or(0, |text| text.len());
            left.bytes = left.bytes.checked_sub(bytes).ok_or(format!("{} MiB of manifests", BYTES >> 20))?;
            Ok(())
        })
    }

    /// Whether a handler may have these routes.
    ///
    /// # Errors
    /// The handler's fault, which stands at `place`.
    pub(super) fn resolve(&mut self, routes: &[HandlerRoute], place: &Place) -> Result<(), Fault> {
        let patterns = routes.iter().filter(|route| route.topics.is_pattern()).count();
        self.take(place, |left| {
            left.routes = left.routes.checked_sub(routes.len()).ok_or(format!("{ROUTES} routes"))?;
            left.patterns = left.patterns.checked_sub(patterns).ok_or(format!("{PATTERNS} routes with a pattern"))?;
            Ok(())
        })
    }

    fn take(&mut self, place: &Place, from: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), Fault> {
        if self.over.is_none() {
            self.over = from(self).err();
        }
        let Some(most) = &self.over else { return Ok(()) };
        let message =
            format!("the tenant has more than {most}; this handler and those with names behind it go without");
        let hint = "remove handlers that nobody needs, or give some of them to another tenant";
        Err(Fault::new(place, Code::OverLimit, message, hint))
    }
}
