//! Programs in the language of jq that make another payload of a request.
//!
//! A program is a part of jq that has no loops of its own: paths, construction, conditions, arithmetic, and the functions of
//! [`FUNCTIONS`]. It reads nothing but its request, neither a clock nor the environment. Whatever a step comes to is weighed,
//! and when the budget is spent the program ends there: what ends it is no error of jq's, which a program could catch.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use jaq_core::data::HasLut;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::load::{Arena, File, Lexer, Loader, Parser, lex::StrPart};
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};
use jaq_core::{Compiler, Ctx, DataT, Exn, Filter, Lut, ValT as _, Vars};
use jaq_json::{Rc, Val};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::template::Context;

/// The longest program, in bytes.
const MAX_PROGRAM_BYTES: usize = 4 * 1024;
/// How deep brackets may stand in each other.
const MAX_NESTING: usize = 64;
/// How deep a program's terms may stand in each other; each operator of a chain is one level.
const MAX_DEPTH: usize = 100;
/// The stack on which programs are read, which holds whatever the longest of them may nest.
const READING_STACK_BYTES: usize = 128 * 1024 * 1024;
/// What one request may cost: each value that a step comes to costs one, and one for every sixteen bytes in it.
const BUDGET: u64 = 1_000_000;
const BYTES_PER_UNIT: usize = 16;

/// The functions that a program may call, with how many arguments.
const FUNCTIONS: &[(&str, usize)] = &[
    ("add", 0),
    ("all", 0),
    ("all", 1),
    ("any", 0),
    ("any", 1),
    ("arrays", 0),
    ("ascii_downcase", 0),
    ("ascii_upcase", 0),
    ("booleans", 0),
    ("ceil", 0),
    ("empty", 0),
    ("endswith", 1),
    ("error", 0),
    ("error", 1),
    ("false", 0),
    ("first", 0),
    ("first", 1),
    ("floor", 0),
    ("from_entries", 0),
    ("group_by", 1),
    ("has", 1),
    ("join", 1),
    ("keys", 0),
    ("last", 0),
    ("length", 0),
    ("limit", 2),
    ("ltrimstr", 1),
    ("map", 1),
    ("max", 0),
    ("max_by", 1),
    ("min", 0),
    ("min_by", 1),
    ("not", 0),
    ("null", 0),
    ("nulls", 0),
    ("numbers", 0),
    ("objects", 0),
    ("reverse", 0),
    ("round", 0),
    ("rtrimstr", 1),
    ("select", 1),
    ("sort", 0),
    ("sort_by", 1),
    ("split", 1),
    ("startswith", 1),
    ("strings", 0),
    ("to_entries", 0),
    ("tojson", 0),
    ("tonumber", 0),
    ("tostring", 0),
    ("trim", 0),
    ("true", 0),
    ("type", 0),
    ("unique", 0),
    ("unique_by", 1),
    ("values", 0),
    ("with_entries", 1),
];

/// What the definitions above need beside.
const INNER: &[(&str, usize)] = &[
    ("isarray", 0),
    ("isboolean", 0),
    ("isempty", 1),
    ("isnumber", 0),
    ("isobject", 0),
    ("isstring", 0),
    ("all", 2),
    ("any", 2),
];

/// Functions that are the house's own, because jq's are written by loops or take more than they are given.
const OWN: &[(&str, usize)] =
    &[("add", 0), ("from_entries", 0), ("join", 1), ("tonumber", 0), ("tostring", 0)];

/// A program that was read.
#[derive(Clone)]
pub struct JqProgram(Arc<Filter<Run>>);

/// Why a text is no program.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JqError {
    /// It cannot be read.
    #[error("cannot be read at `{0}`")]
    Syntax(String),
    /// A part of the language that is not served.
    #[error("has {0}, which is not a part of the language here")]
    Refused(String),
    /// A function that there is not.
    #[error("calls `{name}` with {arguments} arguments, which there is not")]
    Function {
        /// Its name.
        name: String,
        /// With how many arguments it is called.
        arguments: usize,
    },
    /// A variable that there is not.
    #[error("names `{0}`, which there is not")]
    Undefined(String),
    /// Too long, or too deep.
    #[error(
        "is larger than {MAX_PROGRAM_BYTES} bytes, has brackets more than {MAX_NESTING} deep, or chains more than \
         {MAX_DEPTH} operators"
    )]
    TooLarge,
    /// There was no thread to read it on.
    #[error("cannot be read now: {0}")]
    NoThread(String),
}

impl JqError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(_) => Some(
                "a program has paths, construction, conditions, arithmetic and functions; there is no `def`, `reduce`, \
                 `foreach`, `label`, `..` or assignment"
                    .to_owned(),
            ),
            Self::Function { .. } => {
                let mut names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
                names.dedup();
                Some(format!("there are {}", names.join(", ")))
            }
            _ => None,
        }
    }
}

/// The data of one run: the compiled terms, and what is left of the budget.
struct Run;

#[derive(Clone)]
struct RunData<'a> {
    lut: &'a Lut<Run>,
    left: &'a Cell<u64>,
}

impl DataT for Run {
    type V<'a> = Val;
    type Data<'a> = RunData<'a>;
}

impl<'a> HasLut<'a, Run> for RunData<'a> {
    fn lut(&self) -> &'a Lut<Run> {
        self.lut
    }
}

impl JqProgram {
    /// Reads a program.
    pub fn parse(source: &str) -> Result<Self, JqError> {
        if source.len() > MAX_PROGRAM_BYTES || nesting(source) > MAX_NESTING {
            return Err(JqError::TooLarge);
        }
        // Reading goes as deep as the text nests, before anything can say how deep that is.
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().stack_size(READING_STACK_BYTES);
            let reading = reader
                .spawn_scoped(scope, || Self::read(source))
                .map_err(|error| JqError::NoThread(error.to_string()))?;
            reading.join().unwrap_or_else(|_| Err(JqError::NoThread("the reader panicked".to_owned())))
        })
    }

    fn read(source: &str) -> Result<Self, JqError> {
        let tokens = Lexer::new(source).lex().map_err(|errors| {
            JqError::Syntax(errors.first().map_or_else(String::new, |(_, at)| shortened(at)))
        })?;
        let term = Parser::new(&tokens).parse(Parser::term).map_err(|errors| {
            let found = errors.first().and_then(|(_, found)| *found);
            JqError::Syntax(found.map_or_else(|| "the end".to_owned(), |token| shortened(token.as_str())))
        })?;
        if depth(&term) > MAX_DEPTH {
            return Err(JqError::TooLarge);
        }
        let main = Def { name: "hook_main", args: Vec::new(), body: weighed(guarded(term)?) };
        let arena = Arena::default();
        let mut definitions: Vec<Def<&str>> = definitions();
        definitions.push(main);
        let modules = Loader::new(definitions)
            .load(&arena, File { code: "hook_main", path: () })
            .map_err(|_| JqError::Syntax("the program".to_owned()))?;
        let compiled = Compiler::default().with_funs(functions()).compile(modules).map_err(|errors| {
            let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
            JqError::Undefined(first.map_or_else(String::new, |(name, _)| shortened(name)))
        })?;
        Ok(Self(Arc::new(compiled)))
    }

    /// The payload that the program makes of a request; none where it makes nothing, or null.
    pub(crate) fn run(&self, request: &Context<'_>) -> Result<Option<Value>, String> {
        let input = json!({
            "payload": request.payload,
            "headers": request.headers(),
            "query": request.query(),
            "path": request.sub_path,
            "now": request.now.to_rfc3339(),
        });
        let input = jaq_json::read::parse_single(input.to_string().as_bytes())
            .map_err(|error| format!("the request cannot be given to the program: {error}"))?;
        let left = Cell::new(BUDGET);
        let data = RunData { lut: &self.0.lut, left: &left };
        let mut made = self.0.id.run((Ctx::<Run>::new(data, Vars::new([])), input));
        let first = match made.next() {
            None => return Ok(None),
            Some(Ok(Val::Null)) => None,
            Some(Ok(value)) => Some(to_json(&value)),
            Some(Err(ended)) => return Err(reason(ended)),
        };
        match (first, made.next()) {
            (_, Some(Ok(_))) => Err("the program makes more than one value".to_owned()),
            (_, Some(Err(ended))) => Err(reason(ended)),
            (None, None) => Ok(None),
            (Some(object @ Value::Object(_)), None) => Ok(Some(object)),
            (Some(_), None) => Err("the program makes something else than an object or null".to_owned()),
        }
    }
}

impl fmt::Debug for JqProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JqProgram")
    }
}

fn reason(ended: Exn<'_, Val>) -> String {
    match ended.get_err() {
        Ok(error) => format!("the program failed: {}", shortened(&error.to_string())),
        Err(_) => "the program takes more work than one request may".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// How deep brackets stand in each other, counting those in texts as well.
fn nesting(source: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// How deep terms stand in each other.
fn depth(term: &Term<&str>) -> usize {
    let of = |term: &Option<Box<Term<&str>>>| term.as_ref().map_or(0, |term| depth(term));
    let all = |terms: &[Term<&str>]| terms.iter().map(depth).max().unwrap_or(0);
    1 + match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Var(_) | Term::Break(_) => 0,
        // What is refused need not be looked into.
        Term::Def(..) | Term::Fold(..) | Term::Label(..) => 0,
        Term::Str(_, parts) => parts
            .iter()
            .map(|part| match part {
                StrPart::Term(term) => depth(term),
                _ => 0,
            })
            .max()
            .unwrap_or(0),
        Term::Arr(inner) => of(inner),
        Term::Neg(inner) => depth(inner),
        Term::Obj(members) => members
            .iter()
            .map(|(key, value)| depth(key).max(value.as_ref().map_or(0, depth)))
            .max()
            .unwrap_or(0),
        Term::BinOp(left, _, right) => depth(left).max(depth(right)),
        Term::TryCatch(inner, catch) => depth(inner).max(of(catch)),
        Term::IfThenElse(cases, otherwise) => {
            let cases = cases.iter().map(|(test, then)| depth(test).max(depth(then)));
            cases.max().unwrap_or(0).max(of(otherwise))
        }
        Term::Call(_, arguments) => all(arguments),
        Term::Path(inner, Path(parts)) => {
            let parts = parts.iter().map(|(part, _)| match part {
                Part::Index(index) => depth(index),
                Part::Range(from, to) => from.as_ref().map_or(0, depth).max(to.as_ref().map_or(0, depth)),
            });
            parts.max().unwrap_or(0).max(depth(inner))
        }
    }
}

/// The term, with each of its outputs weighed.
fn weighed(term: Term<&str>) -> Term<&str> {
    Term::BinOp(Box::new(term), BinaryOp::Pipe(None), Box::new(Term::Call("hook_weigh", Vec::new())))
}

fn boxed(term: Term<&str>) -> Result<Box<Term<&str>>, JqError> {
    guarded(term).map(Box::new)
}

/// The term with everything in it weighed that takes work, or why it is refused.
fn guarded(term: Term<&str>) -> Result<Term<&str>, JqError> {
    let refuse = |what: &str| Err(JqError::Refused(what.to_owned()));
    Ok(match term {
        Term::Id | Term::Num(_) | Term::Var(_) => term,
        Term::Recurse => return refuse("`..`"),
        Term::Def(..) => return refuse("`def`"),
        Term::Fold(name, ..) => return refuse(&format!("`{name}`")),
        Term::Label(..) | Term::Break(_) => return refuse("`label`"),
        Term::Str(Some(format), _) => return refuse(&format!("`{format}`")),
        Term::Str(None, _) | Term::Obj(_) => weighed(children(term)?),
        Term::Arr(inner) => weighed(Term::Arr(inner.map(|inner| boxed(*inner)).transpose()?)),
        Term::Neg(inner) => weighed(Term::Neg(boxed(*inner)?)),
        Term::BinOp(left, operator, right) => operation(*left, operator, *right)?,
        Term::TryCatch(inner, catch) => {
            Term::TryCatch(boxed(*inner)?, catch.map(|catch| boxed(*catch)).transpose()?)
        }
        Term::IfThenElse(cases, otherwise) => {
            let cases: Result<Vec<_>, JqError> =
                cases.into_iter().map(|(test, then)| Ok((guarded(test)?, guarded(then)?))).collect();
            Term::IfThenElse(cases?, otherwise.map(|otherwise| boxed(*otherwise)).transpose()?)
        }
        Term::Call(name, arguments) => {
            if !FUNCTIONS.contains(&(name, arguments.len())) {
                return Err(JqError::Function { name: shortened(name), arguments: arguments.len() });
            }
            let arguments: Result<Vec<_>, JqError> = arguments.into_iter().map(guarded).collect();
            weighed(Term::Call(name, arguments?))
        }
        Term::Path(inner, Path(parts)) => {
            let inner = boxed(*inner)?;
            let parts: Result<Vec<_>, JqError> = parts
                .into_iter()
                .map(|(part, optional)| {
                    let part = match part {
                        Part::Index(index) => Part::Index(guarded(index)?),
                        Part::Range(from, to) => {
                            Part::Range(from.map(guarded).transpose()?, to.map(guarded).transpose()?)
                        }
                    };
                    Ok((part, optional))
                })
                .collect();
            weighed(Term::Path(inner, Path(parts?)))
        }
    })
}

/// A text or an object with what stands in it guarded. The keys of objects must stay what they are.
fn children(term: Term<&str>) -> Result<Term<&str>, JqError> {
    Ok(match term {
        Term::Str(None, parts) => {
            let parts: Result<Vec<_>, JqError> = parts
                .into_iter()
                .map(|part| match part {
                    StrPart::Term(term) => Ok(StrPart::Term(weighed(guarded(term)?))),
                    other => Ok(other),
                })
                .collect();
            Term::Str(None, parts?)
        }
        Term::Obj(members) => {
            let members: Result<Vec<_>, JqError> = members
                .into_iter()
                .map(|(key, value)| Ok((children(key)?, value.map(guarded).transpose()?)))
                .collect();
            Term::Obj(members?)
        }
        Term::Var(_) => term,
        other => guarded(other)?,
    })
}

fn operation<'s>(
    left: Term<&'s str>,
    operator: BinaryOp<&'s str>,
    right: Term<&'s str>,
) -> Result<Term<&'s str>, JqError> {
    let call = |name, left, right| weighed(Term::Call(name, vec![left, right]));
    let (left, right) = (guarded(left)?, guarded(right)?);
    Ok(match operator {
        BinaryOp::Math(Math::Sub) => call("hook_sub", left, right),
        BinaryOp::Math(Math::Mul) => call("hook_mul", left, right),
        BinaryOp::Math(Math::Div) => call("hook_div", left, right),
        BinaryOp::Math(Math::Rem) => call("hook_rem", left, right),
        BinaryOp::Math(Math::Add) | BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => {
            weighed(Term::BinOp(Box::new(left), operator, Box::new(right)))
        }
        BinaryOp::Pipe(pattern) => {
            let pattern = pattern.map(guarded_pattern).transpose()?;
            Term::BinOp(Box::new(left), BinaryOp::Pipe(pattern), Box::new(right))
        }
        BinaryOp::Comma | BinaryOp::Alt => Term::BinOp(Box::new(left), operator, Box::new(right)),
        BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
            return Err(JqError::Refused("an assignment".to_owned()));
        }
    })
}

fn guarded_pattern(pattern: Pattern<&str>) -> Result<Pattern<&str>, JqError> {
    Ok(match pattern {
        Pattern::Var(_) => pattern,
        Pattern::Arr(parts) => {
            Pattern::Arr(parts.into_iter().map(guarded_pattern).collect::<Result<_, _>>()?)
        }
        Pattern::Obj(parts) => {
            let parts: Result<Vec<_>, JqError> = parts
                .into_iter()
                .map(|(key, pattern)| Ok((children(key)?, guarded_pattern(pattern)?)))
                .collect();
            Pattern::Obj(parts?)
        }
    })
}

/// Those of jq's definitions that are served, or that these need.
fn definitions() -> Vec<Def<&'static str>> {
    let is_served = |def: &Def<&'static str>| {
        let signature = (def.name, def.args.len());
        (FUNCTIONS.contains(&signature) || INNER.contains(&signature)) && !OWN.contains(&signature)
    };
    jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).filter(is_served).collect()
}

fn functions() -> impl Iterator<Item = Fun<Run>> {
    let is_own = |fun: &Fun<Run>| OWN.iter().any(|(name, _)| *name == fun.0);
    let jqs = jaq_core::funs::<Run>().chain(jaq_std::base_funs()).chain(jaq_json::funs());
    jqs.filter(move |fun| !is_own(fun)).chain(own_functions())
}

fn own_functions() -> Vec<Fun<Run>> {
    vec![
        run(("hook_weigh", v(0), |cv| {
            let left = cv.0.data().left;
            let mut budget = left.get();
            let is_paid = pay(&cv.1, &mut budget);
            left.set(budget);
            Box::new(std::iter::once(if is_paid { Ok(cv.1) } else { Err(Exn::halt(1)) }))
        })),
        run(("hook_sub", v(2), |cv| arithmetic(cv, Math::Sub))),
        run(("hook_mul", v(2), |cv| arithmetic(cv, Math::Mul))),
        run(("hook_div", v(2), |cv| arithmetic(cv, Math::Div))),
        run(("hook_rem", v(2), |cv| arithmetic(cv, Math::Rem))),
        run(("add", v(0), |cv| bome(add(cv.1)))),
        run(("from_entries", v(0), |cv| bome(from_entries(&cv.1)))),
        run(("join", v(1), |cv| unary(cv, |list, separator| join(&list, &separator)))),
        run(("tonumber", v(0), |cv| bome(to_number(cv.1)))),
        run(("tostring", v(0), |cv| bome(Ok(Val::utf8_str(text_of(&cv.1)))))),
    ]
}

/// Pays for a value and everything in it, as far as the budget goes.
fn pay(value: &Val, budget: &mut u64) -> bool {
    let own = match value {
        Val::BStr(text) | Val::TStr(text) => text.len() / BYTES_PER_UNIT,
        _ => 0,
    };
    let Some(left) = budget.checked_sub(1 + own as u64) else {
        *budget = 0;
        return false;
    };
    *budget = left;
    match value {
        Val::Arr(elements) => elements.iter().all(|element| pay(element, budget)),
        Val::Obj(members) => members.iter().all(|(key, value)| pay(key, budget) && pay(value, budget)),
        _ => true,
    }
}

/// Numbers, and what else costs no more than it is given: a text is parted by another, objects are merged. A text is not
/// repeated, and a list not searched for each element of another.
fn arithmetic<'a>(mut cv: jaq_core::Cv<'a, Run>, operator: Math) -> jaq_core::ValXs<'a, Val> {
    let right = cv.0.pop_var();
    let left = cv.0.pop_var();
    let is_served = matches!(
        (operator, &left, &right),
        (_, Val::Num(_), Val::Num(_))
            | (Math::Div, Val::TStr(_), Val::TStr(_))
            | (Math::Mul, Val::Obj(_), Val::Obj(_))
    );
    if is_served {
        bome(operator.run(left, right))
    } else {
        bome(Err(jaq_core::Error::math(left, operator, right)))
    }
}

fn add(list: Val) -> jaq_json::ValR {
    let elements: Vec<Val> = list.values().collect::<Result<_, _>>()?;
    if !elements.is_empty() && elements.iter().all(|element| matches!(element, Val::TStr(_))) {
        return Ok(Val::utf8_str(elements.iter().map(text_of).collect::<String>()));
    }
    elements.into_iter().try_fold(Val::Null, |sum, element| sum + element)
}

fn join(list: &Val, separator: &Val) -> jaq_json::ValR {
    let (Val::Arr(elements), Val::TStr(_)) = (list, separator) else {
        return Err(jaq_core::Error::str("join takes a list and a text"));
    };
    let separator = text_of(separator);
    let longest = separator.len().saturating_mul(elements.len());
    if longest > BYTES_PER_UNIT * 1024 * 1024 {
        return Err(jaq_core::Error::str("what is joined would be too long"));
    }
    let text_or_nothing = |element: &Val| match element {
        Val::Null => String::new(),
        other => text_of(other),
    };
    let texts: Vec<String> = elements.iter().map(text_or_nothing).collect();
    Ok(Val::utf8_str(texts.join(&separator)))
}

fn from_entries(list: &Val) -> jaq_json::ValR {
    let Val::Arr(entries) = list else { return Err(jaq_core::Error::str("from_entries takes a list")) };
    let mut made = jaq_json::Map::default();
    for entry in entries.iter() {
        let Val::Obj(members) = entry else {
            return Err(jaq_core::Error::str("an entry is an object with `key` and `value`"));
        };
        let member = |name: &'static str| members.get(&Val::utf8_str(name)).cloned();
        let key = member("key").or_else(|| member("name")).unwrap_or_default();
        made.insert(Val::utf8_str(text_of(&key)), member("value").unwrap_or_default());
    }
    Ok(Val::Obj(Rc::new(made)))
}

fn to_number(value: Val) -> jaq_json::ValR {
    const LONGEST: usize = 40;
    match &value {
        Val::Num(_) => Ok(value),
        Val::TStr(_) => {
            let text = text_of(&value);
            let text = text.trim();
            let is_number = text.len() <= LONGEST
                && text.parse::<f64>().is_ok_and(f64::is_finite)
                && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
            if is_number { Val::from_num(text) } else { Err(jaq_core::Error::str("this text is no number")) }
        }
        _ => Err(jaq_core::Error::str("only a text can be made a number")),
    }
}

/// A text as it is, and everything else as JSON.
fn text_of(value: &Val) -> String {
    match value {
        Val::TStr(text) | Val::BStr(text) => String::from_utf8_lossy(text).into_owned(),
        other => to_json(other).to_string(),
    }
}

fn to_json(value: &Val) -> Value {
    match value {
        Val::Null => Value::Null,
        Val::Bool(flag) => Value::Bool(*flag),
        // What is no number of JSON, such as an infinity, is null.
        Val::Num(number) => serde_json::from_str(&number.to_string()).unwrap_or(Value::Null),
        Val::BStr(_) | Val::TStr(_) => Value::String(text_of(value)),
        Val::Arr(elements) => elements.iter().map(to_json).collect(),
        Val::Obj(members) => {
            members.iter().map(|(key, value)| (text_of(key), to_json(value))).collect::<Map<_, _>>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_function_there_is() {
        const DOCUMENT: &str = include_str!("../../../../docs/hooks.md");
        let (_, rest) = DOCUMENT.split_once("and the functions ").unwrap();
        let (list, _) = rest.split_once(". There is no").unwrap();
        let named: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        let mut expected: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
        expected.dedup();
        assert_eq!(named, expected);
    }
}
