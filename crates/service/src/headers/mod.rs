//! What HTTP and FHIR's REST page say about headers, read into values and written from them.

mod date;
mod media;
mod preconditions;
mod prefer;

pub use date::http_date;
pub use media::{FHIR_JSON, check_accept, check_body, check_encoding, check_form};
pub use preconditions::{
    IF_NONE_EXIST, IfMatch, IfNoneMatch, Preconditions, if_match, if_none_match,
};
pub use prefer::{Prefer, Return};
