//! Tokens become an expression. As in pcap-filter(7) `and` and `or` bind alike, from the left.

use super::lexer::{self, Sign, Token};
use super::syntax::{Arithmetic, Expression, Primitive, Qualifiers, Span, Value, ValueKind};
use super::{DEEPEST, FilterError, LONGEST_TEXT, names};

/// Reads an expression; nothing where there is none.
///
/// # Errors
/// It is no expression, or too long.
pub fn parse(text: &str) -> Result<Option<Expression>, FilterError> {
    if text.len() > LONGEST_TEXT {
        let message = format!(
            "the filter is {} bytes long, and {LONGEST_TEXT} is the most",
            text.len()
        );
        return Err(FilterError::new(message, 0..0));
    }
    let mut parser = Parser {
        tokens: lexer::tokens(text)?,
        at: 0,
        depth: 0,
        end: text.len(),
        last: None,
    };
    if parser.tokens.is_empty() {
        return Ok(None);
    }
    let expression = parser.expression()?;
    match parser.peek() {
        None => Ok(Some(expression)),
        Some(_) => Err(parser.unexpected("`and`, `or` or the end of the filter")),
    }
}

/// What parentheses may hold.
pub enum Item {
    Expression(Expression),
    Arithmetic(Arithmetic),
}

/// Reads tokens.
pub struct Parser {
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: usize,
    end: usize,
    /// The qualifiers of the value that was read last: a value alone behind `and` or `or` has the same.
    pub last: Option<Qualifiers>,
}

impl Parser {
    pub fn peek(&self) -> Option<&Token> {
        self.look(0)
    }

    /// The token that is so many further on.
    pub fn look(&self, further: usize) -> Option<&Token> {
        self.tokens.get(self.at + further).map(|(token, _)| token)
    }

    /// The place of the next token.
    pub fn span(&self) -> Span {
        let found = self.tokens.get(self.at).map(|(_, span)| span.clone());
        found.unwrap_or(self.end..self.end)
    }

    /// From a place to the end of the token that was taken last.
    pub fn since(&self, start: usize) -> Span {
        let end = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        start..end.map_or(start, |(_, span)| span.end.max(start))
    }

    pub fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).map(|(token, _)| token.clone());
        self.at += usize::from(token.is_some());
        token
    }

    pub fn takes_sign(&mut self, sign: Sign) -> bool {
        let is_it = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is_it);
        is_it
    }

    pub fn is_word(&self, further: usize, word: &str) -> bool {
        matches!(self.look(further), Some(Token::Word(it)) if it == word)
    }

    pub fn takes_word(&mut self, word: &str) -> bool {
        let is_it = self.is_word(0, word);
        self.at += usize::from(is_it);
        is_it
    }

    pub fn expect(&mut self, sign: Sign, what: &str) -> Result<(), FilterError> {
        match self.takes_sign(sign) {
            true => Ok(()),
            false => Err(self.unexpected(what)),
        }
    }

    /// That something else was to come.
    pub fn unexpected(&self, wanted: &str) -> FilterError {
        let message = match self.peek() {
            None => format!("the filter ends where {wanted} was expected"),
            Some(_) => format!("{wanted} was expected here"),
        };
        let error = FilterError::new(message, self.span());
        match self.peek() {
            Some(Token::Word(word)) if names::UNSUPPORTED.contains(&word.as_str()) => {
                FilterError::new(format!("{word:?} is not supported in filters here"), self.span())
            }
            Some(Token::Word(word)) if !is_known(word) => error.help(names::cure(word)),
            _ => error,
        }
    }

    /// Reads something that is one level deeper.
    pub fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Parser) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        if self.depth >= DEEPEST {
            let message = format!("the filter nests more than {DEEPEST} levels deep");
            return Err(FilterError::new(message, self.span()));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Result<Expression, FilterError> {
        match self.item()? {
            Item::Expression(expression) => Ok(expression),
            Item::Arithmetic(_) => Err(self.unexpected("a comparison (=, !=, <, >, <=, >=)")),
        }
    }

    /// An expression; or arithmetic, where that is all that is there.
    fn item(&mut self) -> Result<Item, FilterError> {
        let first = match self.term()? {
            Item::Expression(expression) => expression,
            number @ Item::Arithmetic(_) => return Ok(number),
        };
        let mut whole = first;
        let mut changes = 0;
        loop {
            let is_and = match self.peek() {
                Some(Token::Word(word)) if word == "and" => true,
                Some(Token::Word(word)) if word == "or" => false,
                Some(Token::Sign(Sign::LogicalAnd)) => true,
                Some(Token::Sign(Sign::LogicalOr)) => false,
                _ => return Ok(Item::Expression(whole)),
            };
            self.take();
            let next = match self.is_value() {
                true => self.value_alone()?,
                false => match self.term()? {
                    Item::Expression(expression) => expression,
                    Item::Arithmetic(_) => return Err(self.unexpected("a comparison (=, !=, <, >, <=, >=)")),
                },
            };
            let extends = matches!(
                (&whole, is_and),
                (Expression::And(_), true) | (Expression::Or(_), false)
            );
            changes += usize::from(!extends);
            if changes + self.depth > DEEPEST {
                let message = format!("the filter changes more than {DEEPEST} times between `and` and `or`");
                return Err(FilterError::new(message, self.span())
                    .help("group what belongs together with parentheses"));
            }
            whole = joined(whole, is_and, next);
        }
    }

    /// What `and` and `or` join; or arithmetic that no comparison follows.
    fn term(&mut self) -> Result<Item, FilterError> {
        if self.takes_sign(Sign::Not) || self.takes_word("not") {
            let inner = self.deeper(|parser| match parser.is_value() {
                true => parser.value_alone(),
                false => match parser.term()? {
                    Item::Expression(expression) => Ok(expression),
                    Item::Arithmetic(_) => Err(parser.unexpected("a comparison (=, !=, <, >, <=, >=)")),
                },
            })?;
            return Ok(Item::Expression(Expression::Not(Box::new(inner))));
        }
        let start = self.span().start;
        if self.takes_sign(Sign::Open) {
            let inner = self.deeper(Parser::item)?;
            self.expect(Sign::Close, "`)`")?;
            return match inner {
                Item::Arithmetic(number) => self.relation(start, Some(number)),
                expression => Ok(expression),
            };
        }
        if self.begins_arithmetic() {
            return self.relation(start, None);
        }
        self.primitive().map(Item::Expression)
    }

    /// Whether a value stands here, and no primitive: then the qualifiers before it hold for it as well.
    fn is_value(&self) -> bool {
        let further = usize::from(matches!(self.peek(), Some(Token::Sign(Sign::Open))));
        match self.look(further) {
            // Names of hosts: refused as what they are.
            Some(Token::Word(word)) => further == 0 && !is_known(word) && self.last.is_some(),
            Some(Token::Number(_)) => !self.is_operator(further + 1) && self.last.is_some(),
            Some(Token::Dotted(_) | Token::V6(_) | Token::Mac(_) | Token::Name(_)) => true,
            _ => false,
        }
    }

    /// A value that has the qualifiers of the one before it.
    fn value_alone(&mut self) -> Result<Expression, FilterError> {
        match self.last {
            Some(qualifiers) => self.values(qualifiers),
            None => Err(self.unexpected("`host`, `net`, `port` or another keyword")),
        }
    }

    /// A value, or several in parentheses.
    pub fn values(&mut self, qualifiers: Qualifiers) -> Result<Expression, FilterError> {
        if self.takes_sign(Sign::Not) || self.takes_word("not") {
            let inner = self.deeper(|parser| parser.values(qualifiers))?;
            return Ok(Expression::Not(Box::new(inner)));
        }
        if !self.takes_sign(Sign::Open) {
            let start = self.span().start;
            let value = self.value(qualifiers)?;
            let primitive = Primitive::Value(qualifiers, value);
            return Ok(Expression::Primitive(primitive, self.since(start)));
        }
        let values = self.deeper(|parser| {
            let mut whole = parser.values(qualifiers)?;
            let mut changes = 0;
            loop {
                let is_and = parser.takes_word("and") || parser.takes_sign(Sign::LogicalAnd);
                if !is_and && !parser.takes_word("or") && !parser.takes_sign(Sign::LogicalOr) {
                    return Ok(whole);
                }
                let next = parser.values(qualifiers)?;
                let extends = matches!(
                    (&whole, is_and),
                    (Expression::And(_), true) | (Expression::Or(_), false)
                );
                changes += usize::from(!extends);
                if changes > DEEPEST {
                    return Err(FilterError::new("the filter is nested too deep", parser.span()));
                }
                whole = joined(whole, is_and, next);
            }
        })?;
        self.expect(Sign::Close, "`or` or `)`")?;
        Ok(values)
    }

    /// Whether what follows makes a number part of arithmetic.
    fn is_operator(&self, further: usize) -> bool {
        use Sign::{Close, CloseIndex, Colon, LogicalAnd, LogicalOr, Not, Open, OpenIndex};
        match self.look(further) {
            Some(Token::Sign(sign)) => !matches!(
                sign,
                Open | Close | OpenIndex | CloseIndex | Colon | LogicalAnd | LogicalOr | Not
            ),
            _ => false,
        }
    }
}

/// Two expressions as one.
fn joined(whole: Expression, is_and: bool, next: Expression) -> Expression {
    match (whole, is_and) {
        (Expression::And(mut parts), true) => {
            parts.push(next);
            Expression::And(parts)
        }
        (Expression::Or(mut parts), false) => {
            parts.push(next);
            Expression::Or(parts)
        }
        (whole, true) => Expression::And(vec![whole, next]),
        (whole, false) => Expression::Or(vec![whole, next]),
    }
}

/// Whether a word has a meaning of its own.
pub fn is_known(word: &str) -> bool {
    names::KEYWORDS.contains(&word)
        || names::UNSUPPORTED.contains(&word)
        || names::protocol(word).is_some()
        || names::number(word).is_some()
}

/// Nothing is said of the value that follows.
pub const PLAIN: Qualifiers = Qualifiers {
    protocol: None,
    end: None,
    kind: ValueKind::Default,
};

/// That a name is no address.
pub fn no_lookup(word: &str, span: Span) -> FilterError {
    let what = format!("{word:?} is a name, and names of hosts and networks are not looked up");
    FilterError::new(what, span).help("write the address")
}

/// The ports of `80-90` or of a name on either side.
pub fn named_range(word: &str) -> Option<Value> {
    let dashes = word.match_indices('-').map(|(at, _)| at);
    let port = |word: &str| word.parse().ok().or_else(|| names::port(word));
    dashes
        .filter_map(|at| Some(Value::Range(port(&word[..at])?, port(&word[at + 1..])?)))
        .next()
}
