//! The errors found so far.

use std::collections::HashMap;

use crate::Diagnostic;

/// Collects errors. What many nodes inherit is told once.
#[derive(Default)]
pub(super) struct DiagnosticList {
    diagnostics: Vec<Diagnostic>,
    /// The node for which something was told about the value that begins at an offset.
    told: HashMap<usize, usize>,
}

impl DiagnosticList {
    /// Adds an error of the lab as a whole.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Adds an error of a node, unless the same value was told for another node that inherits it.
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

/// Puts errors into the order of the file.
pub(super) fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.span.start));
}
