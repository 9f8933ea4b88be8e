//! The simple arms of a search parameter's FHIRPath: a path, with casts and a type of what is
//! referred to. They are walked for all parameters at once; the rest is evaluated one by one.

/// One step of a path: an element name, and the type that its value must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) cast: Option<&'static str>,
}

/// A path from the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arm {
    pub(crate) path: Vec<Step>,
    /// From `.where(resolve() is Type)`.
    pub(crate) refers_to: Option<&'static str>,
}

impl Arm {
    /// The arms of `expression` that concern the type; `None` if one of them is no simple one.
    pub(crate) fn all(expression: &'static str, type_name: &str) -> Option<Vec<Self>> {
        let mut arms = Vec::new();
        for text in union(expression) {
            let root = root_name(text);
            if root == type_name || root == "Resource" || root == "DomainResource" {
                arms.push(Self::parse(text)?);
            }
        }
        Some(arms)
    }

    fn parse(text: &'static str) -> Option<Self> {
        let (text, refers_to) = match text.trim().strip_suffix(')') {
            Some(open) => match open.rsplit_once(".where(resolve() is ") {
                Some((path, name)) => (path, Some(name.trim())),
                None => (text.trim(), None),
            },
            None => (text.trim(), None),
        };
        let mut path = Vec::new();
        let rest = match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((cast, rest)) => {
                let (inner, type_name) = cast.split_once(" as ")?;
                steps(inner, &mut path)?;
                path.last_mut()?.cast = Some(plain(type_name.trim())?);
                rest
            }
            None => {
                let (inner, cast) = match text.strip_suffix(')') {
                    Some(open) => {
                        let (inner, type_name) = open.rsplit_once(".as(")?;
                        (inner, Some(plain(type_name.trim())?))
                    }
                    None => (text, None),
                };
                steps(inner, &mut path)?;
                if cast.is_some() {
                    path.last_mut()?.cast = cast;
                }
                ""
            }
        };
        if let Some(rest) = rest.strip_prefix('.') {
            for name in rest.split('.') {
                path.push(Step { name: plain(name)?, cast: None });
            }
        } else if !rest.trim().is_empty() {
            return None;
        }
        Some(Self { path, refers_to })
    }
}

/// The steps after the type's name.
fn steps(text: &'static str, path: &mut Vec<Step>) -> Option<()> {
    let mut names = text.trim().split('.');
    plain(names.next()?)?;
    for name in names {
        path.push(Step { name: plain(name)?, cast: None });
    }
    Some(())
}

/// An element's or type's name.
fn plain(name: &'static str) -> Option<&'static str> {
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then_some(name)
}

/// What an arm begins with.
fn root_name(arm: &str) -> &str {
    let arm = arm.trim().trim_start_matches('(');
    &arm[..arm.bytes().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(arm.len())]
}

/// Parts an expression at the `|` that stand in no parentheses or quotes.
fn union(expression: &'static str) -> Vec<&'static str> {
    let (mut depth, mut quoted, mut start) = (0i32, false, 0);
    let mut arms = Vec::new();
    for (at, byte) in expression.bytes().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            b'|' if !quoted && depth == 0 => {
                arms.push(&expression[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    arms.push(&expression[start..]);
    arms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(expression: &'static str, type_name: &str) -> String {
        let Some(arms) = Arm::all(expression, type_name) else { return "not simple".into() };
        let step = |step: &Step| match step.cast {
            Some(cast) => format!("{}:{cast}", step.name),
            None => step.name.to_owned(),
        };
        let arm = |arm: &Arm| {
            let path: Vec<String> = arm.path.iter().map(step).collect();
            format!(
                "{}{}",
                path.join("/"),
                arm.refers_to.map_or(String::new(), |t| format!(" -> {t}"))
            )
        };
        arms.iter().map(arm).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn simple_arms_become_paths() {
        for (expression, type_name, expected) in [
            (
                "Observation.code | Observation.component.code",
                "Observation",
                "code | component/code",
            ),
            ("Patient.name | Person.name", "Person", "name"),
            (
                "(Observation.value as Quantity) | (Observation.value as SampledData)",
                "Observation",
                "value:Quantity | value:SampledData",
            ),
            (
                "(Observation.value as string) | (Observation.value as CodeableConcept).text",
                "Observation",
                "value:string | value:CodeableConcept/text",
            ),
            (
                "Condition.onset.as(dateTime) | Condition.onset.as(Period)",
                "Condition",
                "onset:dateTime | onset:Period",
            ),
            (
                "Observation.subject.where(resolve() is Patient)",
                "Observation",
                "subject -> Patient",
            ),
            ("Resource.meta.tag", "Patient", "meta/tag"),
            ("Observation", "Observation", ""),
            ("Patient.telecom.where(system='email') | Person.telecom", "Patient", "not simple"),
            ("Patient.telecom.where(system='email') | Person.telecom", "Person", "telecom"),
            ("Bundle.entry[0].resource", "Bundle", "not simple"),
            ("Patient.deceased.exists() and Patient.deceased != false", "Patient", "not simple"),
        ] {
            assert_eq!(show(expression, type_name), expected, "{expression}");
        }
    }
}
