//! Reading one object strictly: a key that is asked for is thereby known, and what is left over is told.

use jsonc_parser::ast::{Object, ObjectProp, ObjectPropName};
use jsonc_parser::common::Range;

use super::document::{Node, range};
use super::keys::{self, Key};
use super::openclaw;
use super::problem::Findings;
use super::setting::Setting;

/// Something together with where it was written.
#[derive(Debug, Clone)]
pub(super) struct Written<T> {
    pub(super) value: T,
    pub(super) at: Range,
}

/// One object of the file, or the lack of one, whose keys are asked for one by one.
pub(super) struct Block<'t> {
    path: String,
    at: Range,
    properties: &'t [ObjectProp<'t>],
    known: Vec<&'static str>,
}

impl<'t> Block<'t> {
    /// The whole file.
    pub(super) fn top(object: &'t Object<'t>, findings: &mut Findings) -> Self {
        Self::open(String::new(), object.range, Some(object), findings)
    }

    fn open(path: String, at: Range, object: Option<&'t Object<'t>>, findings: &mut Findings) -> Self {
        let properties = object.map(|object| object.properties.as_slice()).unwrap_or_default();
        let block = Self { path, at, properties, known: Vec::new() };
        block.report_twins(findings);
        block
    }

    /// Reads the block `name` within this one.
    pub(super) fn block(&mut self, name: &'static str, findings: &mut Findings) -> Self {
        self.know(name);
        let path = self.path_of(name);
        let Some(property) = self.find(name) else { return Self::open(path, self.at, None, findings) };
        Self::within(path, property, findings)
    }

    /// Reads the block `name`, whose keys are names that the user chose and whose values are blocks.
    pub(super) fn entries(
        &mut self,
        name: &'static str,
        findings: &mut Findings,
    ) -> Vec<(Written<String>, Self)> {
        let entries = self.block(name, findings);
        let open = |property: &'t ObjectProp<'t>| {
            let given = property.name.as_str().to_owned();
            let block = Self::within(entries.path_of(&given), property, findings);
            (Written { value: given, at: name_range(&property.name) }, block)
        };
        entries.properties.iter().map(open).collect()
    }

    /// Reads the key `name`, whose value is a list of blocks; `expected` is what it must be.
    pub(super) fn list(&mut self, name: &'static str, expected: &str, findings: &mut Findings) -> Vec<Self> {
        self.known.push(name);
        let Some(property) = self.find(name) else { return Vec::new() };
        let path = self.path_of(name);
        let Some(list) = property.value.as_array() else {
            let message = format!("`{path}` must be {expected}");
            findings.report(Some(range(&property.value)), message, None);
            return Vec::new();
        };
        let mut blocks = Vec::new();
        for (place, element) in list.elements.iter().enumerate() {
            let path = format!("{path}[{place}]");
            match element.as_object() {
                Some(object) => blocks.push(Self::open(path, range(element), Some(object), findings)),
                None => {
                    let message = format!("`{path}` must be an object, `{{ … }}`");
                    findings.report(Some(range(element)), message, None);
                }
            }
        }
        blocks
    }

    /// Where the block was written; where it was not, where the one around it was.
    pub(super) fn at(&self) -> Range {
        self.at
    }

    /// Whether the key `name` is written.
    pub(super) fn has(&mut self, name: &'static str) -> bool {
        self.know(name);
        self.find(name).is_some()
    }

    fn know(&mut self, name: &'static str) {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
    }

    fn within(path: String, property: &'t ObjectProp<'t>, findings: &mut Findings) -> Self {
        let object = property.value.as_object();
        if object.is_none() {
            let message = format!("`{path}` must be an object, `{{ … }}`");
            findings.report(Some(range(&property.value)), message, None);
        }
        Self::open(path, name_range(&property.name), object, findings)
    }

    /// Reads the value of a key.
    pub(super) fn key<T: Setting, D>(
        &mut self,
        key: &'static Key<T, D>,
        findings: &mut Findings,
    ) -> Option<Written<T>> {
        let name = keys::last_name(key.path);
        self.known.push(name);
        let node = &self.find(name)?.value;
        if T::PUBLIC {
            publish(node, findings);
        }
        match T::read(node, &key.form) {
            Ok(value) => Some(Written { value, at: range(node) }),
            Err(complaints) => {
                for wrong in complaints {
                    let message = format!("`{}{}` {}", self.path_of(name), wrong.part, wrong.message);
                    findings.report(Some(wrong.at), message, wrong.hint);
                }
                None
            }
        }
    }

    /// Reads the value of a key that must be there.
    pub(super) fn required<T: Setting, D>(
        &mut self,
        key: &'static Key<T, D>,
        findings: &mut Findings,
    ) -> Option<Written<T>> {
        let name = keys::last_name(key.path);
        if self.find(name).is_none() {
            let message =
                format!("`{}` is missing: it must be {}", self.path_of(name), T::expected(&key.form));
            findings.report(Some(self.at), message, None);
        }
        self.key(key, findings)
    }

    /// Reads the value of a key that must be there if `is_required`.
    pub(super) fn key_if_required<T: Setting, D>(
        &mut self,
        key: &'static Key<T, D>,
        is_required: bool,
        findings: &mut Findings,
    ) -> Option<Written<T>> {
        if is_required { self.required(key, findings) } else { self.key(key, findings) }
    }

    /// Tells of every key that nobody asked for.
    pub(super) fn finish(self, findings: &mut Findings) {
        for property in self.properties {
            let name = property.name.as_str();
            if !self.known.contains(&name) {
                let (message, hint) = self.describe_unknown(name);
                findings.report(Some(name_range(&property.name)), message, Some(hint));
            }
        }
    }

    fn describe_unknown(&self, name: &str) -> (String, String) {
        let path = self.path_of(name);
        if openclaw::has_key(&path) {
            let message =
                format!("`{path}` is a key of OpenClaw that this version of clawhook does not act on");
            return (message, openclaw::hint(&path));
        }
        let shown = shorten(name);
        let message = if self.path.is_empty() {
            format!("unknown key `{shown}`")
        } else {
            format!("unknown key `{shown}` in `{}`", self.path)
        };
        (message, self.suggest(name))
    }

    fn suggest(&self, name: &str) -> String {
        if let Some(near) = nearest(name, &self.known) {
            return format!("did you mean `{near}`?");
        }
        if let Some(elsewhere) = keys::with_last_name(name) {
            return format!("did you mean `{elsewhere}`?");
        }
        format!("known here: {}", self.known.join(", "))
    }

    fn report_twins(&self, findings: &mut Findings) {
        let mut seen = std::collections::HashSet::new();
        for property in self.properties {
            if !seen.insert(property.name.as_str()) {
                let message =
                    format!("`{}` is written twice", shorten(&self.path_of(property.name.as_str())));
                findings.report(Some(name_range(&property.name)), message, None);
            }
        }
    }

    fn find(&self, name: &str) -> Option<&'t ObjectProp<'t>> {
        self.properties.iter().find(|property| property.name.as_str() == name)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{}", self.path, shorten(name)) }
    }
}

/// Allows an excerpt to show a value: a plain one, or the plain ones of a list.
fn publish(node: &Node<'_>, findings: &mut Findings) {
    match node {
        Node::Array(list) => {
            let plain = |element: &&Node<'_>| element.as_array().is_none() && element.as_object().is_none();
            list.elements.iter().filter(plain).for_each(|element| findings.publish(range(element)));
        }
        Node::Object(_) => {}
        plain => findings.publish(range(plain)),
    }
}

/// Where a key was written.
pub(super) fn name_range(name: &ObjectPropName<'_>) -> Range {
    match name {
        ObjectPropName::String(literal) => literal.range,
        ObjectPropName::Word(literal) => literal.range,
    }
}

/// A name for a message: without control characters, and not endless.
pub(super) fn shorten(name: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// The name that was probably meant.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    const LONGEST: usize = 80;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&name, &known.to_lowercase());
    let near = known.iter().map(|known| (distance(known), *known)).min()?;
    (near.0 <= (near.1.len() / 3).max(1)).then_some(near.1)
}
