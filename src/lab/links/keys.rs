//! The keys of a type, declared once: the same function reads them from a lab file and describes them for the schema.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::End;
use crate::file::reader::{Reader, Table, Wrong};
use crate::file::{Span, Spanned, values};

/// A key as it is described.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// What it is for.
    pub about: &'static str,
    /// Whether it must be there.
    pub required: bool,
}

/// What a value looks like.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// A whole number.
    Integer(i64, i64),
    /// One of some words.
    Word(Vec<&'static str>),
    /// True or false.
    Flag,
    /// Text, with an example.
    Text(&'static str),
    /// A list.
    List(Box<Form>),
    /// A list of tables.
    Tables(Vec<Described>),
}

/// Reads keys, or describes them.
pub struct Keys<'k, 't, 'a> {
    way: Way<'k, 't, 'a>,
    required: bool,
}

enum Way<'k, 't, 'a> {
    Read(&'k mut Reader<'t>, &'k mut Table<'a>),
    Describe(Vec<Described>),
}

impl<'k, 't, 'a> Keys<'k, 't, 'a> {
    /// Reads from a table.
    pub(crate) fn read(reader: &'k mut Reader<'t>, table: &'k mut Table<'a>) -> Self {
        Keys {
            way: Way::Read(reader, table),
            required: false,
        }
    }

    /// Describes what is asked for.
    pub(crate) fn describe(ask: impl FnOnce(&mut Keys)) -> Vec<Described> {
        let mut keys = Keys {
            way: Way::Describe(Vec::new()),
            required: false,
        };
        ask(&mut keys);
        match keys.way {
            Way::Describe(described) => described,
            Way::Read(..) => Vec::new(),
        }
    }

    /// The next key must be there.
    pub fn required(&mut self) -> &mut Self {
        self.required = true;
        self
    }

    /// A whole number within a range.
    pub fn integer<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        about: &'static str,
    ) -> Option<T> {
        let (low, high) = (*range.start(), *range.end());
        let example = format!("{key} = {low}");
        self.get(key, Form::Integer(low, high), about, &example, |reader, value| {
            Some(reader.integer(value, key, range)?.value)
        })
    }

    /// True or false.
    pub fn flag(&mut self, key: &'static str, about: &'static str) -> Option<bool> {
        let example = format!("{key} = true");
        self.get(key, Form::Flag, about, &example, |reader, value| {
            Some(reader.boolean(value, key)?.value)
        })
    }

    /// One of a few words.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        about: &'static str,
    ) -> Option<T> {
        let names = words.iter().map(|(word, _)| *word).collect();
        let example = format!("{key} = \"{}\"", words.first().map_or("", |(word, _)| *word));
        self.get(key, Form::Word(names), about, &example, |reader, value| {
            Some(reader.word(value, key, words)?.value)
        })
    }

    /// Text in a form of its own.
    pub(crate) fn text<T>(
        &mut self,
        key: &'static str,
        example: &'static str,
        about: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let whole = format!("{key} = \"{example}\"");
        self.get(key, Form::Text(example), about, &whole, |reader, value| {
            Some(reader.parsed(value, key, example, parse)?.value)
        })
    }

    /// An address.
    pub fn ip(&mut self, key: &'static str, example: &'static str, about: &'static str) -> Option<IpAddr> {
        self.text(key, example, about, values::ip)
    }

    /// Addresses with the lengths of their networks.
    pub fn nets(&mut self, key: &'static str, example: &'static str, about: &'static str) -> Vec<IpNet> {
        let form = Form::List(Box::new(Form::Text(example)));
        let whole = format!("{key} = [\"{example}\"]");
        self.get(key, form, about, &whole, |reader, value| {
            reader.list(value, key, &format!("\"{example}\""), |reader, value| {
                Some(reader.parsed(value, key, example, values::net)?.value)
            })
        })
        .unwrap_or_default()
    }

    /// The other end of a pair: `node:interface`.
    pub fn end(&mut self, key: &'static str, about: &'static str) -> Option<End> {
        const EXAMPLE: &str = "b:wg0";
        let whole = format!("{key} = \"{EXAMPLE}\"");
        self.get(key, Form::Text(EXAMPLE), about, &whole, |reader, value| {
            let text = reader.parsed(value, key, EXAMPLE, |text| Ok(text.to_owned()))?;
            end(reader, text)
        })
    }

    /// Other ends: `["node:interface", …]`.
    pub fn ends(&mut self, key: &'static str, example: &'static str, about: &'static str) -> Vec<End> {
        let form = Form::List(Box::new(Form::Text(example)));
        let whole = format!("{key} = [\"{example}\"]");
        self.get(key, form, about, &whole, |reader, value| {
            reader.list(value, key, &format!("\"{example}\""), |reader, value| {
                let text = reader.parsed(value, key, example, |text| Ok(text.to_owned()))?;
                end(reader, text)
            })
        })
        .unwrap_or_default()
    }

    /// A list of tables; `None` where one of them could not be read.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        what: &'static str,
        example: &'static str,
        about: &'static str,
        mut item: impl FnMut(&mut Keys) -> Option<T>,
    ) -> Option<Vec<T>> {
        let form = match &self.way {
            Way::Describe(_) => Form::Tables(Keys::describe(|keys| {
                item(keys);
            })),
            Way::Read(..) => Form::Tables(Vec::new()),
        };
        let whole = format!("{key} = [{example}]");
        let found = self.get(key, form, about, &whole, |reader, value| {
            let count = value.get_ref().as_array().map_or(0, |items| items.len());
            let read = reader.list(value, key, example, |reader, value| {
                let mut table = reader.table(value, key, key, what, value.span())?;
                let read = item(&mut Keys::read(reader, &mut table));
                table.finish(reader);
                read
            })?;
            Some((read.len() == count).then_some(read))
        });
        match found {
            Some(read) => read,
            None => Some(Vec::new()),
        }
    }

    /// Whether a key is there, whether or not its value could be read.
    pub fn has(&mut self, key: &'static str) -> bool {
        match &mut self.way {
            Way::Read(_, table) => table.get(key).is_some(),
            Way::Describe(_) => true,
        }
    }

    /// Where the value of a key is, or what it belongs to where it is not there.
    pub fn span(&mut self, key: &'static str) -> Span {
        match &mut self.way {
            Way::Read(_, table) => table.get(key).map_or(table.span(), |value| value.span()),
            Way::Describe(_) => Span::default(),
        }
    }

    /// Tells that the value of a key, or what it belongs to where it is not there, is wrong.
    pub fn wrong(&mut self, key: &'static str, message: impl Into<String>, help: impl Into<String>) {
        if let Way::Read(reader, table) = &mut self.way {
            let span = table.get(key).map_or(table.span(), |value| value.span());
            reader.wrong(span, Wrong::new(message, help));
        }
    }

    fn get<T>(
        &mut self,
        key: &'static str,
        form: Form,
        about: &'static str,
        example: &str,
        read: impl FnOnce(&mut Reader<'t>, &'a crate::file::reader::Value<'a>) -> Option<T>,
    ) -> Option<T> {
        let required = std::mem::take(&mut self.required);
        match &mut self.way {
            Way::Describe(described) => {
                described.push(Described {
                    name: key,
                    form,
                    about,
                    required,
                });
                None
            }
            Way::Read(reader, table) => match table.get(key) {
                Some(value) => read(reader, value),
                None => {
                    if required {
                        reader.missing(table, key, example);
                    }
                    None
                }
            },
        }
    }
}

/// `node:interface`.
fn end(reader: &mut Reader, text: Spanned<String>) -> Option<End> {
    let parts = text
        .value
        .split_once(':')
        .filter(|(node, interface)| !node.is_empty() && values::interface(interface).is_ok());
    let Some((node, interface)) = parts else {
        let message = format!("`{}` is not an interface of a node", text.value.escape_debug());
        let help = "write the node and its interface: `b:wg0`";
        reader.wrong(text.span, Wrong::new(message, help));
        return None;
    };
    Some(End {
        node: node.to_owned(),
        interface: interface.to_owned(),
        span: Span::clone(&text.span),
    })
}
