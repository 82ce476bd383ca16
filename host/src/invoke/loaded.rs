//! The components that a worker keeps loaded.

use std::collections::HashMap;
use std::sync::Arc;

/// How many: each costs a file descriptor and three mappings. Beyond, the one that was not called for the longest time is
/// let go.
const LOADED: usize = 256;

/// Loaded components by their artifact's digest.
pub(super) struct Loaded<C> {
    components: HashMap<Arc<str>, (C, u64)>,
    uses: u64,
}

impl<C> Default for Loaded<C> {
    fn default() -> Self {
        Self { components: HashMap::new(), uses: 0 }
    }
}

impl<C: Clone> Loaded<C> {
    /// The component, which `load` loads where it is not yet.
    pub(super) fn get<E>(&mut self, digest: &Arc<str>, load: impl FnOnce() -> Result<C, E>) -> Result<C, E> {
        self.uses += 1;
        if let Some((component, last_use)) = self.components.get_mut(digest) {
            *last_use = self.uses;
            return Ok(component.clone());
        }
        let component = load()?;
        if self.components.len() >= LOADED
            && let Some(oldest) = self.components.iter().min_by_key(|(_, (_, last_use))| *last_use)
        {
            let oldest = oldest.0.clone();
            self.components.remove(&oldest);
        }
        self.components.insert(digest.clone(), (component.clone(), self.uses));
        Ok(component)
    }
}
