//! A list in pages: its URL, and the links from page to page. A cursor says where a page begins and
//! which list it is a page of: a place in one list means nothing in another, and would silently
//! leave resources out.

use crate::Error;
use base::Hash;
use store::Cursor;

/// Characters of the mark: 48 bits tell lists apart, they protect nothing.
const MARK: usize = 8;

/// A list in pages.
pub struct Paged {
    /// The URL of the list, without a cursor.
    pub url: String,
    mark: String,
}

impl Paged {
    /// The list at a path below the base (or at the base itself), by the parameters that were read.
    #[must_use]
    pub fn new(base: &str, path: &str, query: &str) -> Self {
        let mut list = path.to_owned();
        // How many entries are on a page may change on the way.
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        for pair in pairs.filter(|pair| !pair.starts_with("_count=")) {
            list.push('&');
            list.push_str(pair);
        }
        let mut mark = Hash::of(list.as_bytes()).to_text();
        mark.truncate(MARK);
        let mut url = base.to_owned();
        for (joint, part) in [('/', path), ('?', query)] {
            if !part.is_empty() {
                url.push(joint);
                url.push_str(part);
            }
        }
        Self { url, mark }
    }

    /// The URL of the page at a cursor.
    #[must_use]
    pub fn page_url(&self, cursor: &Cursor) -> String {
        let joint = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{joint}_cursor={}.{}", self.url, cursor.to_text(), self.mark)
    }

    /// Reads the value of `_cursor`; one of another list is refused.
    pub fn cursor(&self, text: &str) -> Result<Cursor, Error> {
        let (cursor, mark) = text.split_once('.').ok_or(store::Error::Cursor)?;
        let cursor = Cursor::from_text(cursor)?;
        if mark == self.mark {
            return Ok(cursor);
        }
        let reason = "is of another search or history: follow the links as they are";
        Err(Error::Parameter { name: "_cursor".to_owned(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Doc;

    #[test]
    fn a_cursor_is_of_one_list() {
        let list = |path, query| Paged::new("http://x/fhir", path, query);
        let cursor = Cursor::Doc(Doc::FIRST);
        let url = list("Patient", "name=a&_count=2").page_url(&cursor);
        let (before, text) = url.split_once("&_cursor=").expect("a cursor");
        assert_eq!(before, "http://x/fhir/Patient?name=a&_count=2");
        for same in ["name=a&_count=2", "name=a", "_count=7&name=a"] {
            assert_eq!(list("Patient", same).cursor(text).ok(), Some(cursor.clone()), "{same}");
        }
        for (path, query) in [("Group", "name=a"), ("Patient", "name=b"), ("", ""), ("Patient", "")]
        {
            let refused = list(path, query).cursor(text);
            assert!(matches!(refused, Err(Error::Parameter { .. })), "{path}?{query}");
        }
        let url = list("Patient", "").page_url(&cursor);
        let (_, text) = url.split_once("?_cursor=").expect("a cursor");
        for same in ["", "_count=2", "_count=7"] {
            assert_eq!(list("Patient", same).cursor(text).ok(), Some(cursor.clone()), "{same}");
        }
        assert!(matches!(list("Patient", "").cursor("x"), Err(Error::Store(_))));
    }
}
