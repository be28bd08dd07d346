//! The mistakes found so far.

use std::collections::HashMap;

use crate::Diagnostic;

/// Collects mistakes. What many nodes inherit is told once.
#[derive(Default)]
pub(super) struct Mistakes {
    diagnostics: Vec<Diagnostic>,
    /// The node for which something was told about the value that begins at an offset.
    told: HashMap<usize, usize>,
}

impl Mistakes {
    /// Adds a mistake of the lab as a whole.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Adds a mistake of a node, unless the same value was told for another node that inherits it.
    pub fn add_for(&mut self, node: usize, diagnostic: Diagnostic) {
        if let Some(label) = diagnostic.labels.first()
            && *self.told.entry(label.span.start).or_insert(node) != node
        {
            return;
        }
        self.diagnostics.push(diagnostic);
    }

    /// All of them, in the order of the file.
    pub fn sorted(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics;
        sort(&mut diagnostics);
        diagnostics
    }
}

/// Puts mistakes into the order of the file.
pub(super) fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.span.start));
}
