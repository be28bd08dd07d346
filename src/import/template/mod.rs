//! Go templates, as containerlab renders them before it reads a topology: the language, its own functions, and those that topologies
//! commonly take from elsewhere. Pure, and with bounds on all that a template can cause.

mod functions;
mod json;
mod parse;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use parse::{Block, Part, Pipeline, Sort, Term};
use value::Value;

use crate::yaml::Yaml;

/// What a template comes to is no longer, in bytes.
const LONGEST: usize = 8 << 20;
/// So many parts are carried out at most.
const MOST: usize = 300_000;
/// What functions make and read is no more, in bytes.
const WORK: usize = 32 << 20;
/// So many variables there are at most.
const VARIABLES: usize = 1000;

/// Why a template cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, in bytes of its text.
    pub place: usize,
    /// In a sentence.
    pub message: String,
}

impl Fault {
    fn new(place: usize, message: String) -> Self {
        Fault { place, message }
    }
}

/// Whether a text has something of a template in it.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// What a template comes to with these variables.
///
/// # Errors
/// Where and why it cannot be rendered.
pub fn render(text: &str, variables: Option<&Yaml>) -> Result<String, Fault> {
    let parts = parse::parse(text)?;
    let whole = match variables {
        Some(variables) => Value::of(variables),
        None => Value::map(BTreeMap::new()),
    };
    let whole = whole.map_err(|message| Fault::new(0, message))?;
    let mut renderer = Renderer {
        out: String::new(),
        scopes: vec![(String::new(), whole.clone())],
        block: 0,
        steps: 0,
        work: 0,
    };
    renderer.all(&parts, &whole)?;
    Ok(renderer.out)
}

struct Renderer {
    out: String,
    /// Variables by name, the nearest last; the whole of them has the empty name.
    scopes: Vec<(String, Value)>,
    /// Where those of the block begin that is carried out.
    block: usize,
    steps: usize,
    work: usize,
}

impl Renderer {
    fn all(&mut self, parts: &[Part], dot: &Value) -> Result<(), Fault> {
        let own = self.scopes.len();
        let around = std::mem::replace(&mut self.block, own);
        for part in parts {
            self.one(part, dot)?;
        }
        self.block = around;
        self.scopes.truncate(own);
        Ok(())
    }

    fn one(&mut self, part: &Part, dot: &Value) -> Result<(), Fault> {
        match part {
            Part::Text(text) => self.put(text, 0),
            Part::Value(pipeline) => match self.pipeline(pipeline, dot)? {
                Value::Nil => Err(Fault::new(
                    pipeline.place,
                    "nothing stands here with these variables".into(),
                )),
                value => self.put(&value.to_string(), pipeline.place),
            },
            Part::Declare(name, pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                let block = self.block;
                match self.scopes[block..].iter_mut().find(|(known, _)| known == name) {
                    Some((_, known)) => *known = value,
                    None => self.declare(name, value, pipeline.place)?,
                }
                Ok(())
            }
            Part::Set(name, pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match self.scopes.iter_mut().rev().find(|(known, _)| known == name) {
                    Some((_, known)) => *known = value,
                    None => return Err(no_variable(name, pipeline.place)),
                }
                Ok(())
            }
            Part::Block(block) => self.block(block, dot),
        }
    }

    fn put(&mut self, text: &str, place: usize) -> Result<(), Fault> {
        self.step(place)?;
        if self.out.len() + text.len() > LONGEST {
            return Err(Fault::new(
                place,
                format!("what the template comes to is longer than {} MiB", LONGEST >> 20),
            ));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn step(&mut self, place: usize) -> Result<(), Fault> {
        self.steps += 1;
        match self.steps > MOST {
            true => Err(Fault::new(
                place,
                format!("the template takes more than {MOST} steps"),
            )),
            false => Ok(()),
        }
    }

    /// Another variable, as long as the block is carried out.
    fn declare(&mut self, name: &str, value: Value, place: usize) -> Result<(), Fault> {
        if self.scopes.len() > VARIABLES {
            return Err(Fault::new(
                place,
                format!("there are more than {VARIABLES} variables"),
            ));
        }
        self.scopes.push((name.to_owned(), value));
        Ok(())
    }

    fn block(&mut self, block: &Block, dot: &Value) -> Result<(), Fault> {
        let value = self.pipeline(&block.pipeline, dot)?;
        if block.sort == Sort::Range {
            return self.range(block, value, dot);
        }
        let own = self.scopes.len();
        if let (_, Some(name)) = &block.variables {
            self.declare(name, value.clone(), block.pipeline.place)?;
        }
        match value.is_true() {
            true if block.sort == Sort::With => self.all(&block.inner, &value),
            true => self.all(&block.inner, dot),
            false => self.all(&block.otherwise, dot),
        }?;
        self.scopes.truncate(own);
        Ok(())
    }

    fn range(&mut self, block: &Block, value: Value, dot: &Value) -> Result<(), Fault> {
        let items: Vec<(Value, Value)> = match value {
            Value::List(items, _) => {
                let numbered = (0_i64..).zip(items.iter().cloned());
                numbered.map(|(at, item)| (Value::Whole(at), item)).collect()
            }
            Value::Map(entries, _) => {
                let entries = entries.iter();
                entries
                    .map(|(key, item)| (Value::Text(key.as_str().into()), item.clone()))
                    .collect()
            }
            Value::Whole(count) => (0..count.min(MOST as i64))
                .map(|at| (Value::Whole(at), Value::Whole(at)))
                .collect(),
            Value::Nil => Vec::new(),
            _ => {
                let message = "`range` goes over lists, maps and numbers".into();
                return Err(Fault::new(block.pipeline.place, message));
            }
        };
        if items.is_empty() {
            return self.all(&block.otherwise, dot);
        }
        for (place, item) in items {
            self.step(block.pipeline.place)?;
            let own = self.scopes.len();
            let (first, second) = &block.variables;
            self.scopes
                .extend(first.iter().map(|name| (name.clone(), place.clone())));
            self.scopes
                .extend(second.iter().map(|name| (name.clone(), item.clone())));
            self.all(&block.inner, &item)?;
            self.scopes.truncate(own);
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Fault> {
        self.step(pipeline.place)?;
        let mut last: Option<Value> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last, dot, pipeline.place)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        terms: &[Term],
        last: Option<Value>,
        dot: &Value,
        place: usize,
    ) -> Result<Value, Fault> {
        let Some((first, rest)) = terms.split_first() else {
            return Ok(Value::Nil);
        };
        let Term::Function(name) = first else {
            let value = self.term(first, dot, place)?;
            return match rest.is_empty() && last.is_none() {
                true => Ok(value),
                false => Err(Fault::new(
                    place,
                    "only a function can be followed by words".into(),
                )),
            };
        };
        let mut words = Vec::new();
        for term in rest {
            words.push(self.term(term, dot, place)?);
        }
        words.extend(last);
        self.call(name, &words, place)
    }

    fn call(&mut self, name: &str, words: &[Value], place: usize) -> Result<Value, Fault> {
        let made = functions::call(name, words).map_err(|message| Fault::new(place, message))?;
        self.work = self.work.saturating_add(functions::cost(name, words, &made));
        match self.work > WORK {
            true => Err(Fault::new(
                place,
                format!(
                    "what the template's functions make is longer than {} MiB",
                    WORK >> 20
                ),
            )),
            false => Ok(made),
        }
    }

    fn term(&mut self, term: &Term, dot: &Value, place: usize) -> Result<Value, Fault> {
        let within = |value: &Value, fields: &[String]| {
            fields
                .iter()
                .fold(value.clone(), |value, field| value.field(field))
        };
        Ok(match term {
            Term::Text(text) => Value::Text(text.clone()),
            Term::Whole(whole) => Value::Whole(*whole),
            Term::Broken(broken) => Value::Broken(*broken),
            Term::Truth(truth) => Value::Truth(*truth),
            Term::Nil => Value::Nil,
            Term::Dot(fields) => within(dot, fields),
            Term::Variable(name, fields) => {
                let found = self.scopes.iter().rev().find(|(known, _)| known == name);
                let Some((_, value)) = found else {
                    return Err(no_variable(name, place));
                };
                within(value, fields)
            }
            Term::Inner(pipeline, fields) => {
                let value = self.pipeline(pipeline, dot)?;
                within(&value, fields)
            }
            Term::Function(name) => self.call(name, &[], place)?,
        })
    }
}

fn no_variable(name: &str, place: usize) -> Fault {
    Fault::new(place, format!("there is no variable `${}`", name.escape_debug()))
}
