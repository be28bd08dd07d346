//! Label selectors (`metav1.LabelSelector`).

use std::collections::{BTreeMap, BTreeSet};

use super::reading::{required, text, texts, word};
use crate::yaml::Yaml;
use crate::yaml::reader::Reader;

/// What labels must be. One that asks for nothing selects everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Selector {
    labels: BTreeMap<String, String>,
    expressions: Vec<Expression>,
}

/// One of `matchExpressions`.
#[derive(Debug, Clone, PartialEq)]
struct Expression {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

const OPERATORS: &[(&str, Operator)] = &[
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
];

impl Selector {
    /// Whether it selects what has these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let equal = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.labels.iter().all(equal) && self.expressions.iter().all(|it| it.matches(labels))
    }

    /// Reads `matchLabels` and `matchExpressions`.
    pub fn read(reader: &mut Reader, yaml: &Yaml, key: &str) -> Option<Selector> {
        let mut table = reader.table(yaml, key, format!("`{key}`"))?;
        let labels = table.get("matchLabels");
        let labels = labels.map(|yaml| texts(reader, yaml, "matchLabels"));
        let example = "{ key: rack, operator: In, values: [rack0] }";
        let expressions = table.get("matchExpressions").and_then(|yaml| {
            reader.list(yaml, "matchExpressions", example, |reader, yaml| {
                Expression::read(reader, yaml)
            })
        });
        table.finish(reader);
        Some(Selector {
            labels: labels.unwrap_or_default(),
            expressions: expressions.unwrap_or_default(),
        })
    }
}

impl Expression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let is_one = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => is_one,
            Operator::NotIn => !is_one,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }

    fn read(reader: &mut Reader, yaml: &Yaml) -> Option<Expression> {
        let mut table = reader.table(yaml, "matchExpressions", "an item of `matchExpressions`")?;
        let named = table.get("key");
        let key = named.and_then(|yaml| text(reader, yaml, "key", "rack"));
        let key = required(reader, &table, "key", "rack", key, named.is_some());
        let said = table.get("operator");
        let operator = said.and_then(|yaml| word(reader, yaml, "operator", OPERATORS));
        let operator = required(reader, &table, "operator", "In", operator, said.is_some());
        let values = table.get("values");
        let list = values.and_then(|yaml| {
            reader.list(yaml, "values", "rack0", |reader, yaml| {
                text(reader, yaml, "values", "rack0")
            })
        });
        let list: BTreeSet<String> = list.unwrap_or_default().into_iter().collect();
        let compares = matches!(operator, Some(Operator::In | Operator::NotIn));
        if operator.is_some() && compares == list.is_empty() {
            let (message, help) = match compares {
                true => ("`In` and `NotIn` need `values`", "write `values: [rack0]`"),
                false => ("`Exists` and `DoesNotExist` take no `values`", "remove them"),
            };
            let span = values.map_or_else(|| super::reading::head(&table), |yaml| yaml.span.clone());
            reader.wrong(span, message, help);
        }
        table.finish(reader);
        Some(Expression {
            key: key?,
            operator: operator?,
            values: list,
        })
    }
}
