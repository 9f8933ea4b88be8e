//! The flat form of a parsed JSON text: one record a value, in document order, names looked up.
//!
//! A record says where its subtree ends, so a sibling is one step away, a resource inside a bundle
//! is a run of records, and a clone is two copies of memory. The texts of strings and numbers stand
//! in one buffer, decoded; a number's text is kept as it came.

use crate::definitions::{NameId, Names};

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
}

/// The name of a member: a [`NameId`], and whether it was written with a leading `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u16);

impl Key {
    const SIBLING: u16 = 0x8000;
    /// Of the root and of the items of an array.
    pub(crate) const NONE: Self = Self(0x7fff);
    /// A name that no definition has; its text is kept aside.
    pub(crate) const UNKNOWN: Self = Self(0x7ffe);

    pub(crate) const fn plain(name: NameId) -> Self {
        Self(name.0)
    }
    pub(crate) const fn sibling(name: NameId) -> Self {
        Self(name.0 | Self::SIBLING)
    }
    pub(crate) const fn is_sibling(self) -> bool {
        self.0 & Self::SIBLING != 0
    }
    /// The name without the `_`; `None` for [`Key::NONE`] and [`Key::UNKNOWN`].
    pub(crate) fn name(self) -> Option<NameId> {
        (self != Self::NONE && self != Self::UNKNOWN).then_some(NameId(self.0 & !Self::SIBLING))
    }
    /// Looks a member's name up.
    pub(crate) fn of(text: &str, names: &Names) -> Self {
        match text.strip_prefix('_') {
            Some(rest) => names.find(rest).map_or(Self::UNKNOWN, Self::sibling),
            None => names.find(text).map_or(Self::UNKNOWN, Self::plain),
        }
    }
}

/// One JSON value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    /// Of a string or number: where its text begins. Of an array or object: how many it holds.
    pub(crate) start: u32,
    /// Of a string or number: bytes of its text.
    pub(crate) bytes: u32,
    /// The record after the subtree.
    pub(crate) next: u32,
}

/// A parsed JSON text. Record 0 is the root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) records: Vec<Record>,
    /// The texts of unknown names: record, start, bytes; in order of records.
    pub(crate) unknown: Vec<(u32, u32, u32)>,
}

/// The buffer and the table stay below 2³² by [`crate::guard::MAX_BYTES`].
pub(crate) fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("the guard keeps texts below 1 GiB")
}

impl Document {
    pub(crate) fn record(&self, at: u32) -> Record {
        self.records[at as usize]
    }
    /// The text of a string or number; of anything else nothing.
    pub(crate) fn text(&self, at: u32) -> &str {
        let record = self.record(at);
        match record.kind {
            Kind::String | Kind::Number => self.span(record.start, record.bytes),
            _ => "",
        }
    }
    fn span(&self, start: u32, bytes: u32) -> &str {
        self.text.get(start as usize..(start as usize + bytes as usize)).unwrap_or_default()
    }
    /// The items or members of an array or object.
    pub(crate) fn children(&self, at: u32) -> Children<'_> {
        let record = self.record(at);
        let nested = matches!(record.kind, Kind::Array | Kind::Object);
        Children { document: self, at: at + 1, end: if nested { record.next } else { at + 1 } }
    }
    /// How many items or members an array or object has.
    pub(crate) fn len(&self, at: u32) -> usize {
        let record = self.record(at);
        if matches!(record.kind, Kind::Array | Kind::Object) { record.start as usize } else { 0 }
    }
    /// The member of this key.
    pub(crate) fn member(&self, object: u32, key: Key) -> Option<u32> {
        if self.record(object).kind != Kind::Object {
            return None;
        }
        self.children(object).find(|&child| self.record(child).key == key)
    }
    /// The name of a member as it was written.
    pub(crate) fn key_text(&self, at: u32, names: &Names) -> (bool, &str) {
        let key = self.record(at).key;
        if let Some(name) = key.name() {
            return (key.is_sibling(), names.text(name));
        }
        let found = self.unknown.binary_search_by_key(&at, |entry| entry.0);
        let text = found.map_or("", |index| {
            let (_, start, bytes) = self.unknown[index];
            self.span(start, bytes)
        });
        (false, text)
    }
    /// Appends a value without children; texts go to the buffer.
    pub(crate) fn push(&mut self, key: Key, kind: Kind, text: &str) -> u32 {
        let at = narrow(self.records.len());
        let start = narrow(self.text.len());
        self.text.push_str(text);
        self.records.push(Record { key, kind, start, bytes: narrow(text.len()), next: at + 1 });
        at
    }
    /// Keeps the text of an unknown name of the record that comes next.
    pub(crate) fn push_unknown_key(&mut self, text: &str) {
        let start = narrow(self.text.len());
        self.text.push_str(text);
        self.unknown.push((narrow(self.records.len()), start, narrow(text.len())));
    }
    /// Ends the array or object that began at `at` and holds `len`.
    pub(crate) fn close(&mut self, at: u32, len: usize) {
        let next = narrow(self.records.len());
        let record = &mut self.records[at as usize];
        record.start = narrow(len);
        record.next = next;
    }
    /// Gives a string another text.
    pub(crate) fn replace_text(&mut self, at: u32, text: &str) {
        let start = narrow(self.text.len());
        self.text.push_str(text);
        let record = &mut self.records[at as usize];
        record.start = start;
        record.bytes = narrow(text.len());
    }
    /// The subtree at `root` as a document of its own.
    pub(crate) fn subtree(&self, root: u32) -> Self {
        let end = self.record(root).next;
        let first = self.unknown.partition_point(|entry| entry.0 < root);
        let mut unknown = self.unknown.iter().skip(first).peekable();
        let mut copy = Self {
            text: String::with_capacity(16 * (end - root) as usize),
            records: Vec::with_capacity((end - root) as usize),
            unknown: Vec::new(),
        };
        for at in root..end {
            if let Some(&(_, start, bytes)) = unknown.next_if(|entry| entry.0 == at)
                && at > root
            {
                copy.push_unknown_key(self.span(start, bytes));
            }
            let record = self.record(at);
            copy.push(record.key, record.kind, self.text(at));
            let copied = copy.records.last_mut().expect("just pushed");
            copied.next = record.next - root;
            if matches!(record.kind, Kind::Array | Kind::Object) {
                copied.start = record.start;
            }
        }
        copy.records[0].key = Key::NONE;
        copy
    }
}

/// Walks the items or members of one value.
#[derive(Clone)]
pub(crate) struct Children<'a> {
    document: &'a Document,
    at: u32,
    end: u32,
}

impl Iterator for Children<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.at >= self.end {
            return None;
        }
        let found = self.at;
        self.at = self.document.record(found).next;
        Some(found)
    }
}
