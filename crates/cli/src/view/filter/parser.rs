//! Reading an expression.

use core::fmt;

use sockeye_proto::Role;
use sockeye_proto::frame::Opcode;

use super::{Key, Op, Term, Word};

const WORDS: [(&str, Word); 21] = [
    ("client", Word::From(Role::Client)),
    ("server", Word::From(Role::Server)),
    ("frame", Word::Frame),
    ("request", Word::Request),
    ("response", Word::Response),
    ("opaque", Word::Opaque),
    ("gap", Word::Gap),
    ("text", Word::Opcode(Opcode::TEXT)),
    ("binary", Word::Opcode(Opcode::BINARY)),
    ("continuation", Word::Opcode(Opcode::CONTINUATION)),
    ("close", Word::Opcode(Opcode::CLOSE)),
    ("ping", Word::Opcode(Opcode::PING)),
    ("pong", Word::Opcode(Opcode::PONG)),
    ("control", Word::Control),
    ("data", Word::Data),
    ("reserved", Word::Reserved),
    ("fin", Word::Fin),
    ("masked", Word::Masked),
    ("compressed", Word::Compressed),
    ("violation", Word::Violation),
    ("hint", Word::Hint),
];

const KEYS: [(&str, Key); 7] = [
    ("connection", Key::Connection),
    ("frame", Key::Frame),
    ("message", Key::Message),
    ("opcode", Key::Opcode),
    ("length", Key::Length),
    ("code", Key::Code),
    ("port", Key::Port),
];

/// The longer ones first: what begins with another is not that other.
const OPS: [(&str, Op); 7] = [
    ("!=", Op::NotEqual),
    ("<=", Op::LessOrEqual),
    (">=", Op::GreaterOrEqual),
    ("=", Op::Equal),
    ("<", Op::Less),
    (">", Op::Greater),
    ("~", Op::Contains),
];

/// Brackets within brackets.
const DEEPEST: usize = 32;

/// What is wrong with an expression, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    column: usize,
    what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.what)
    }
}

impl core::error::Error for Mistake {}

/// Reads all of an expression.
pub(super) fn parse(text: &str) -> Result<Term, Mistake> {
    let mut parser = Parser { text, rest: text.trim_start(), depth: 0 };
    let term = parser.any()?;
    if parser.rest.is_empty() { Ok(term) } else { Err(parser.mistake("a bracket that nothing opens")) }
}

struct Parser<'a> {
    text: &'a str,
    /// What is left of it, without the space before it.
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Term, Mistake> {
        let mut terms = vec![self.all()?];
        while self.eat_word("or") {
            terms.push(self.all()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::Any(terms) })
    }

    fn all(&mut self) -> Result<Term, Mistake> {
        let mut terms = vec![self.term()?];
        while self.eat_word("and") || !(self.rest.is_empty() || self.rest.starts_with(')') || self.is_word("or")) {
            terms.push(self.term()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::All(terms) })
    }

    fn term(&mut self) -> Result<Term, Mistake> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.mistake("too many brackets in brackets"));
        }
        let term = if self.eat_word("not") {
            Term::Not(Box::new(self.term()?))
        } else if self.eat("(") {
            let term = self.any()?;
            if !self.eat(")") {
                return Err(self.mistake("a bracket is not closed"));
            }
            term
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(term)
    }

    fn comparison(&mut self) -> Result<Term, Mistake> {
        let name_at = self.column();
        let name = self.bare();
        let unknown = |what: String| Err(Mistake { column: name_at, what });
        if name.is_empty() {
            return unknown("a word is missing".to_owned());
        }
        let Some((sign, op)) = OPS.iter().find(|(sign, _)| self.eat(sign)) else {
            let word = WORDS.iter().find(|(word, _)| *word == name);
            return word.map_or_else(
                || unknown(format!("{name:?} is no word of a filter")),
                |(_, word)| Ok(Term::Word(*word)),
            );
        };
        let column = self.column();
        let value = self.value()?;
        let bad = |why: &str| Mistake { column, what: format!("{value:?} is {why}") };
        match (name, op) {
            ("text", Op::Contains) => Ok(Term::Text(value.to_lowercase())),
            ("payload", Op::Contains) => hex(value).map(Term::Payload).ok_or_else(|| bad("not hex")),
            ("address", Op::Equal | Op::NotEqual) => Ok(Term::Address(*op == Op::Equal, value.to_owned())),
            _ => match KEYS.iter().find(|(key, _)| *key == name && *op != Op::Contains) {
                Some((_, key)) => {
                    number(value).map(|number| Term::Number(*key, *op, number)).ok_or_else(|| bad("no number"))
                }
                None => unknown(format!("{name:?} cannot be compared with {sign}")),
            },
        }
    }

    /// All up to what ends a word: letters, digits, and what may stand in addresses.
    fn bare(&mut self) -> &'a str {
        let ends = |character: char| character.is_whitespace() || "()=!<>~\"".contains(character);
        self.take(self.rest.find(ends).unwrap_or(self.rest.len()))
    }

    fn value(&mut self) -> Result<&'a str, Mistake> {
        if self.rest.starts_with('"') {
            let Some(len) = self.rest[1..].find('"') else { return Err(self.mistake("a quote is not closed")) };
            return Ok(&self.take(len + 2)[1..=len]);
        }
        match self.bare() {
            "" => Err(self.mistake("a value is missing")),
            value => Ok(value),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        let after = self.rest.strip_prefix(word);
        after.is_some_and(|after| {
            after.is_empty() || after.starts_with(|next: char| next.is_whitespace() || next == '(')
        })
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.is_word(word) && self.eat(word)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let is_next = self.rest.starts_with(sign);
        if is_next {
            self.take(sign.len());
        }
        is_next
    }

    /// Takes so many bytes, and the space behind them.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest.trim_start();
        taken
    }

    /// Where we are, in characters from 1.
    fn column(&self) -> usize {
        self.text[..self.text.len() - self.rest.len()].chars().count() + 1
    }

    fn mistake(&self, what: &str) -> Mistake {
        Mistake { column: self.column(), what: what.to_owned() }
    }
}

/// A number as it is, or in hex.
fn number(digits: &str) -> Option<u64> {
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !matches!(byte, b' ' | b':')).collect();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = core::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2 && !pair.starts_with('+'))?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect::<Option<Vec<_>>>().filter(|bytes| !bytes.is_empty())
}
