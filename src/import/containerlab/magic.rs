//! containerlab's own variables, which stand for the node they are read in: `__clabNodeName__` and its like.

/// What the variables stand for in one node.
pub(super) struct Magic {
    values: [(&'static str, String); 4],
}

impl Magic {
    /// The variables of a node of a lab; directories are relative to the topology's.
    pub fn new(lab: &str, node: &str) -> Self {
        let directory = format!("clab-{lab}");
        Magic {
            values: [
                ("__clabNodeName__", node.to_owned()),
                ("__clabNodeDir__", format!("{directory}/{node}")),
                ("__clabDir__", directory),
                ("__clabLabName__", lab.to_owned()),
            ],
        }
    }

    /// Replaces them in a text.
    pub fn replace(&self, text: &mut String) {
        if !text.contains("__clab") {
            return;
        }
        for (name, value) in &self.values {
            if text.contains(name) {
                *text = text.replace(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_stands_for_its_node() {
        let mut text =
            String::from("__clabDir__/x __clabNodeDir__/y __clabNodeName__ of __clabLabName__ __clabOther__");
        Magic::new("l", "n").replace(&mut text);
        assert_eq!(text, "clab-l/x clab-l/n/y n of l __clabOther__");
    }
}
