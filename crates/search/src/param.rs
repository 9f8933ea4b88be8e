//! Search parameters: which a type has, and how each is answered.

use crate::arm::Arm;
use fhir::{ParamKind, ParamNumber, TypeId, definitions};
use std::sync::OnceLock;

/// A search parameter's number: [`fhir::ParamNumber`]. **On disk.**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId(u16);

impl ParamId {
    /// Wraps a number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }
    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Parameters that no type offers, and why.
const REFUSED: [(&str, &str); 2] =
    [("phonetic", "sounds are not indexed"), ("near", "distances are not indexed")];

/// Composites of Observation whose element is the resource itself: there a query for both parts is
/// the same as one for each. With the parts, and the composite that holds the same of components.
const AT_ROOT: [(&str, &[&str], Option<&str>); 5] = [
    ("code-value-concept", &["code", "value-concept"], None),
    ("code-value-date", &["code", "value-date"], None),
    ("code-value-quantity", &["code", "value-quantity"], None),
    ("combo-code-value-concept", &["code", "value-concept"], Some("component-code-value-concept")),
    (
        "combo-code-value-quantity",
        &["code", "value-quantity"],
        Some("component-code-value-quantity"),
    ),
];

/// How a parameter of a type is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `_id`: the key itself.
    Id,
    /// `_lastUpdated`: the stamp.
    Updated,
    /// Its own terms.
    Own,
    /// Terms of others, whose elements together are its own; of references perhaps only those to
    /// one type. So `patient` needs none where `subject` has them, nor `combo-code`.
    Others(Vec<(ParamId, Option<TypeId>)>),
    /// Of a composite: one query for each part, or one of another composite.
    Parts(Vec<ParamId>, Option<ParamId>),
}

/// A component of a composite: how it is searched, and what it may refer to.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) kind: ParamKind,
    pub(crate) targets: &'static [TypeId],
}

/// A search parameter of one type.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its number.
    pub id: ParamId,
    /// Its name in a query.
    pub code: &'static str,
    /// Its canonical URL.
    pub url: &'static str,
    pub(crate) kind: ParamKind,
    pub(crate) source: Source,
    pub(crate) targets: &'static [TypeId],
    pub(crate) parts: Vec<Part>,
    /// `None` when it has to be evaluated.
    pub(crate) arms: Option<Vec<Arm>>,
}

impl Parameter {
    /// `SearchParameter.type` (<https://hl7.org/fhir/R4/valueset-search-param-type.html>).
    #[must_use]
    pub fn kind(&self) -> &'static str {
        kind_name(self.kind)
    }

    /// What a client may write, in a few words.
    #[must_use]
    pub fn documentation(&self) -> String {
        let prefixes = "prefixes eq, ne, gt, lt, ge, le, sa, eb, ap; modifier :missing";
        match self.kind {
            ParamKind::Number | ParamKind::Date => prefixes.to_owned(),
            ParamKind::Quantity => format!("number, number|system|code or number||code; {prefixes}"),
            ParamKind::String => {
                "begins with, without regard to case and accents; modifiers :exact, :contains, :missing"
                    .to_owned()
            }
            ParamKind::Token => {
                "code, system|code, |code or system|; modifiers :not, :missing".to_owned()
            }
            ParamKind::Reference => {
                "id, Type/id or URL; modifiers :[Type], :identifier, :missing".to_owned()
            }
            ParamKind::Uri => "equal; modifiers :below, :above, :missing".to_owned(),
            ParamKind::Composite => {
                let kinds: Vec<_> = self.parts.iter().map(|part| kind_name(part.kind)).collect();
                format!("components joined by $: {}", kinds.join("$"))
            }
            ParamKind::Special => "not searched".to_owned(),
        }
    }
}

const fn kind_name(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Number => "number",
        ParamKind::Date => "date",
        ParamKind::String => "string",
        ParamKind::Token => "token",
        ParamKind::Reference => "reference",
        ParamKind::Composite => "composite",
        ParamKind::Quantity => "quantity",
        ParamKind::Uri => "uri",
        ParamKind::Special => "special",
    }
}

/// The parameters of one type.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// By code.
    pub(crate) params: Vec<Parameter>,
}

impl Catalogue {
    /// The parameters of a type. Made at the first call for it.
    pub(crate) fn of(type_id: TypeId) -> &'static Self {
        static ALL: OnceLock<Vec<OnceLock<Catalogue>>> = OnceLock::new();
        let all = ALL.get_or_init(|| TypeId::all().map(|_| OnceLock::new()).collect());
        all[usize::from(type_id.get())].get_or_init(|| Self::make(type_id))
    }

    pub(crate) fn find(&self, code: &str) -> Option<&Parameter> {
        let found = self.params.binary_search_by(|param| param.code.cmp(code)).ok()?;
        Some(&self.params[found])
    }

    pub(crate) fn by_id(&self, id: ParamId) -> Option<&Parameter> {
        self.params.iter().find(|param| param.id == id)
    }

    fn make(type_id: TypeId) -> Self {
        let mut params: Vec<Parameter> = definitions()
            .params_of(type_id)
            .iter()
            .filter(|param| REFUSED.iter().all(|(code, _)| *code != param.code))
            .filter_map(|param| parameter(type_id, param.number))
            .collect();
        params.sort_by_key(|param| param.code);
        let mut catalogue = Self { params };
        catalogue.find_others();
        catalogue.find_parts(type_id);
        catalogue
    }

    /// Finds the parameters whose elements others index already.
    fn find_others(&mut self) {
        let mut order: Vec<usize> = (0..self.params.len()).collect();
        order.sort_by_key(|at| {
            let param = &self.params[*at];
            let arms = param.arms.as_deref().unwrap_or_default();
            let filtered = arms.iter().any(|arm| arm.refers_to.is_some());
            (arms.len(), filtered, param.id)
        });
        let mut owners: Vec<usize> = Vec::new();
        for at in order {
            let others = self.covered(&self.params[at], &owners);
            match others {
                Some(others) => self.params[at].source = Source::Others(others),
                None => owners.push(at),
            }
        }
    }

    /// Owners whose arms are among those of `param` and together are all of them.
    fn covered(
        &self,
        param: &Parameter,
        owners: &[usize],
    ) -> Option<Vec<(ParamId, Option<TypeId>)>> {
        let arms = param.arms.as_deref()?;
        if arms.is_empty() || param.kind == ParamKind::Composite || param.source != Source::Own {
            return None;
        }
        let mut left: Vec<&Arm> = arms.iter().collect();
        let mut others = Vec::new();
        for owner in owners.iter().map(|at| &self.params[*at]) {
            let theirs = owner.arms.as_deref().unwrap_or_default();
            if owner.kind != param.kind || owner.source != Source::Own || theirs.is_empty() {
                continue;
            }
            // Of one path only, an arm with a filter can be had from one without.
            if let [single] = theirs
                && single.refers_to.is_none()
                && let Some(place) = left.iter().position(|arm| arm.path == single.path)
            {
                let arm = left.remove(place);
                let only = match arm.refers_to {
                    Some(name) => Some(TypeId::from_name(name)?),
                    None => None,
                };
                others.push((owner.id, only));
            } else if theirs.iter().all(|arm| left.contains(&arm)) {
                left.retain(|arm| !theirs.contains(arm));
                others.push((owner.id, None));
            }
        }
        left.is_empty().then_some(others)
    }

    fn find_parts(&mut self, type_id: TypeId) {
        if type_id.name() != "Observation" {
            return;
        }
        let id = |code: &str| self.find(code).map(|param| param.id);
        let mut found = Vec::new();
        for (code, parts, other) in AT_ROOT {
            let ids: Option<Vec<ParamId>> = parts.iter().map(|part| id(part)).collect();
            if let Some(ids) = ids {
                found.push((code, Source::Parts(ids, other.and_then(id))));
            }
        }
        for (code, source) in found {
            if let Some(param) = self.params.iter_mut().find(|param| param.code == code) {
                param.source = source;
            }
        }
    }
}

/// Why a parameter of R4 is not offered for any type; `None` if that is not so.
pub(crate) fn refused(code: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(name, _)| *name == code).map(|(_, why)| *why)
}

fn parameter(type_id: TypeId, number: ParamNumber) -> Option<Parameter> {
    let param = definitions().param(number)?;
    let mut parts = Vec::with_capacity(param.components.len());
    for component in &param.components {
        let like = definitions().param(component.param)?;
        parts.push(Part { kind: like.kind, targets: like.targets.as_slice() });
    }
    // R4 names the two parameters of DocumentReference.relationship in the order `target$code` and
    // gives their expressions in the order `code$target`, which is also how it is used.
    if let [first, second] = parts.as_mut_slice()
        && first.kind == ParamKind::Reference
        && second.kind == ParamKind::Token
    {
        std::mem::swap(first, second);
    }
    let source = match param.code {
        "_id" => Source::Id,
        "_lastUpdated" => Source::Updated,
        _ => Source::Own,
    };
    Some(Parameter {
        id: ParamId(number.0),
        code: param.code,
        url: param.url,
        kind: param.kind,
        source,
        targets: param.targets.as_slice(),
        parts,
        arms: Arm::all(param.expression?, type_id.name()),
    })
}

/// The search parameters that work for a type, by name.
#[must_use]
pub fn parameters(type_id: TypeId) -> &'static [Parameter] {
    &Catalogue::of(type_id).params
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(type_name: &str) -> String {
        let type_id = TypeId::from_name(type_name).expect("a type of R4");
        let catalogue = Catalogue::of(type_id);
        let name = |id: &ParamId| catalogue.by_id(*id).map_or("?", |param| param.code);
        let line = |param: &Parameter| match &param.source {
            Source::Id | Source::Updated => format!("{} from the key", param.code),
            Source::Own => format!("{} own", param.code),
            Source::Others(others) => {
                let from: Vec<String> = others
                    .iter()
                    .map(|(id, only)| match only {
                        Some(only) => format!("{}:{only}", name(id)),
                        None => name(id).to_owned(),
                    })
                    .collect();
                format!("{} from {}", param.code, from.join(" | "))
            }
            Source::Parts(parts, other) => {
                let parts: Vec<&str> = parts.iter().map(name).collect();
                let other = other.as_ref().map_or(String::new(), |id| format!(" | {}", name(id)));
                format!("{} from {}{other}", param.code, parts.join(" $ "))
            }
        };
        catalogue.params.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// On disk: what has terms of its own.
    #[test]
    fn what_is_indexed_already_is_not_indexed_again() {
        insta::assert_snapshot!(
            "sources",
            ["Observation", "Patient", "Encounter", "DiagnosticReport"]
                .map(|name| format!("# {name}\n{}", sources(name)))
                .join("\n\n")
        );
    }
}
