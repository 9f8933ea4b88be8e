//! Why a query is refused. No value of a query is repeated: it may be a person's name or number.

use crate::param::{Catalogue, Parameter};
use fhir::{Issue, ParamKind};

/// The reasons of a refusal, by what [`crate::Handling::Lenient`] may pass over.
pub(crate) enum Refusal {
    /// Not offered here: may be left out.
    Unsupported(Issue),
    /// Not understood: leaving it out would find what was not asked for.
    Invalid(Issue),
}

impl Refusal {
    pub(crate) fn unsupported(text: String) -> Self {
        Self::Unsupported(Issue::of_body("not-supported", text))
    }
    pub(crate) fn invalid(text: String) -> Self {
        Self::Invalid(Issue::of_body("invalid", text))
    }
    pub(crate) fn limit(text: String) -> Self {
        Self::Invalid(Issue::of_body("too-costly", text))
    }
    pub(crate) fn into_issue(self) -> Issue {
        match self {
            Self::Unsupported(issue) | Self::Invalid(issue) => issue,
        }
    }
}

/// A client's own name for something, short enough to repeat.
pub(crate) fn short(name: &str) -> String {
    let mut text: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    if text.len() < name.len() {
        text.push('…');
    }
    text
}

pub(crate) fn unknown(name: &str, of: &str, catalogue: &Catalogue, common: bool) -> Refusal {
    let known: Vec<&str> = catalogue
        .params
        .iter()
        .map(|param| param.code)
        .filter(|code| !common || code.starts_with('_'))
        .collect();
    Refusal::unsupported(format!(
        "search parameter '{}' is not known for {of}; known are {}",
        short(name),
        known.join(", ")
    ))
}

pub(crate) fn modifier(param: &Parameter, modifier: &str) -> Refusal {
    let offered = match param.kind {
        ParamKind::String => ":exact, :contains, :missing",
        ParamKind::Token => ":not, :missing",
        ParamKind::Reference => ":[Type], :identifier, :missing",
        ParamKind::Uri => ":below, :above, :missing",
        ParamKind::Date | ParamKind::Number | ParamKind::Quantity => ":missing",
        ParamKind::Composite | ParamKind::Special => "none",
    };
    Refusal::unsupported(format!(
        "modifier ':{}' of search parameter '{}' is not supported; supported: {offered}",
        short(modifier),
        param.code
    ))
}

pub(crate) fn value(name: &str, kind: ParamKind) -> Refusal {
    let form = match kind {
        ParamKind::Date => {
            "a date or time after one of the prefixes eq, ne, gt, lt, ge, le, sa, eb, ap or none"
        }
        ParamKind::Number => {
            "a number after one of the prefixes eq, ne, gt, lt, ge, le, sa, eb, ap or none"
        }
        ParamKind::Quantity => {
            "number, number|system|code or number||code after one of the prefixes eq, ne, gt, lt, ge, le, sa, eb, ap or none"
        }
        ParamKind::Token => "code, system|code, |code or system|",
        ParamKind::Reference => "an id, Type/id or a URL",
        ParamKind::Composite => "a value for each component, joined by $",
        ParamKind::String => "a text of more than spaces and accents",
        ParamKind::Uri | ParamKind::Special => "a text that is not empty",
    };
    Refusal::invalid(format!("value of search parameter '{name}' is not {form}"))
}
