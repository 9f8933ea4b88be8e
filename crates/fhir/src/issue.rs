//! One reason for a refusal, as an `OperationOutcome.issue` will tell it.

use std::fmt;

/// `OperationOutcome.issue.severity` (<https://hl7.org/fhir/R4/valueset-issue-severity.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The request failed and nothing was tried further.
    Fatal,
    /// The request failed.
    Error,
    /// Worth attention; the request stands.
    Warning,
    /// For information.
    Information,
}

impl Severity {
    /// The code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// One issue. Its text names elements, rules and limits, never the content of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad.
    pub severity: Severity,
    /// An issue type (<https://hl7.org/fhir/R4/valueset-issue-type.html>).
    pub code: &'static str,
    /// The FHIRPath place, such as `Observation.code.coding[0].systm`.
    pub expression: Option<String>,
    /// What is wrong: lower case, no full stop.
    pub diagnostics: String,
}

impl Issue {
    /// An error with a place.
    #[must_use]
    pub fn error(code: &'static str, expression: String, diagnostics: impl Into<String>) -> Self {
        let expression = Some(expression);
        Self { severity: Severity::Error, code, expression, diagnostics: diagnostics.into() }
    }

    /// An error of the body as a whole.
    #[must_use]
    pub fn of_body(code: &'static str, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, expression: None, diagnostics: diagnostics.into() }
    }

    /// The same issue seen from outside: `place` (such as `Bundle.entry[3].resource`) takes the
    /// place of the resource's own name at the head of the expression.
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        self.expression = Some(match self.expression.as_deref().map(|own| own.find('.')) {
            Some(Some(dot)) => {
                format!("{place}{}", &self.expression.as_deref().unwrap_or_default()[dot..])
            }
            _ => place.to_owned(),
        });
        self
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.severity.code(), self.code)?;
        if let Some(place) = &self.expression {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.diagnostics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_of_an_entry_names_the_entry() {
        let issue = |place: &str| {
            Issue::error("structure", place.into(), "x").within("Bundle.entry[3].resource")
        };
        assert_eq!(
            issue("Observation.code.coding[0].systm").expression.as_deref(),
            Some("Bundle.entry[3].resource.code.coding[0].systm")
        );
        assert_eq!(issue("Observation").expression.as_deref(), Some("Bundle.entry[3].resource"));
    }
}
