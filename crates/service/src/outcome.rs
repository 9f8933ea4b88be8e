//! OperationOutcome (<https://hl7.org/fhir/R4/operationoutcome.html>), the body of every refusal.

use bytes::Bytes;
use fhir::{Issue, Severity};
use std::fmt::Write as _;

/// The text of a severity.
const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "fatal",
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Information => "information",
    }
}

/// Writes `text` as a JSON string.
pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// An OperationOutcome of these issues.
#[must_use]
pub fn outcome(issues: &[Issue]) -> Bytes {
    let mut out = String::with_capacity(96 + 160 * issues.len());
    out.push_str("{\"resourceType\":\"OperationOutcome\",\"issue\":[");
    for (index, issue) in issues.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            "{{\"severity\":\"{}\",\"code\":\"{}\",\"diagnostics\":",
            severity(issue.severity),
            issue.code
        );
        push_json_string(&mut out, &issue.diagnostics);
        if let Some(place) = &issue.expression {
            out.push_str(",\"expression\":[");
            push_json_string(&mut out, place);
            out.push(']');
        }
        out.push('}');
    }
    out.push_str("]}");
    Bytes::from(out)
}

/// The issue that says all went well.
#[must_use]
pub fn done(diagnostics: &str) -> Issue {
    Issue {
        severity: Severity::Information,
        code: "informational",
        expression: None,
        diagnostics: diagnostics.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_escaped() {
        let issue = Issue {
            severity: Severity::Error,
            code: "invalid",
            expression: Some("Patient.name[0]".to_owned()),
            diagnostics: "a \"quote\", a \\ and a \u{1} bell\n".to_owned(),
        };
        let text = outcome(&[issue, done("fine")]);
        let value: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
        assert_eq!(value["issue"][0]["diagnostics"], "a \"quote\", a \\ and a \u{1} bell\n");
        assert_eq!(value["issue"][1]["severity"], "information");
    }
}
