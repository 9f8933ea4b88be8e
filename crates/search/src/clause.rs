//! One parameter of a query with its values: what it asks for.

use crate::composite::CompositeTest;
use crate::date::DateTest;
use crate::escape::{split, unescape};
use crate::filter::StampRange;
use crate::interval::Interval;
use crate::number::NumberTest;
use crate::param::{Catalogue, Parameter, Source};
use crate::predicate::Test;
use crate::prefix::Prefix;
use crate::quantity::QuantityTest;
use crate::reference::{Here, ReferenceTest, local_part};
use crate::refuse::{self, Refusal};
use crate::string::StringTest;
use crate::token::TokenTest;
use crate::uri::UriTest;
use crate::value::{Reference, Target};
use crate::{Filter, ParamId, Predicate, fold};
use base::{Limits, Stamp};
use fhir::{ParamKind, TypeId};

/// What a clause is read against.
pub(crate) struct Context<'a> {
    pub(crate) catalogue: &'static Catalogue,
    pub(crate) limits: &'a Limits,
    /// The account's base URL, without a slash at its end.
    pub(crate) base_url: &'a str,
}

/// One parameter of a query, decoded.
pub(crate) struct Clause<'a> {
    pub(crate) param: &'static Parameter,
    pub(crate) modifier: Option<&'a str>,
    pub(crate) value: &'a str,
}

impl Clause<'_> {
    /// The resources that it asks for.
    pub(crate) fn filter(&self, context: &Context<'_>) -> Result<Filter, Refusal> {
        let param = self.param;
        if self.value.is_empty() {
            return Err(Refusal::invalid(format!(
                "search parameter '{}' has no value",
                param.code
            )));
        }
        if self.modifier == Some("missing") && param.kind != ParamKind::Composite {
            return self.missing(context);
        }
        let values = split(self.value, b',');
        if values.len() > context.limits.or_values {
            return Err(Refusal::limit(format!(
                "search parameter '{}' has {} values; the limit or_values is {}",
                param.code,
                values.len(),
                context.limits.or_values
            )));
        }
        match param.source {
            Source::Id => self.ids(&values),
            Source::Updated => self.updated(&values),
            _ => {
                let mut any = Vec::with_capacity(values.len());
                for value in values {
                    if value.is_empty() {
                        return Err(refuse::value(param.code, param.kind));
                    }
                    any.push(self.one(value, context)?);
                }
                let any = Filter::any_of(any);
                Ok(if self.modifier == Some("not") { any.negated() } else { any })
            }
        }
    }

    fn missing(&self, context: &Context<'_>) -> Result<Filter, Refusal> {
        let missing = match self.value {
            "true" => true,
            "false" => false,
            _ => {
                return Err(Refusal::invalid(format!(
                    "value of '{}:missing' is not true or false",
                    self.param.code
                )));
            }
        };
        let present = match &self.param.source {
            Source::Id | Source::Updated => Filter::All,
            _ => self.of_sources(Test::Present, context),
        };
        Ok(if missing { present.negated() } else { present })
    }

    /// A test of the terms of this parameter, wherever they are.
    fn of_sources(&self, test: Test, context: &Context<'_>) -> Filter {
        let one = |id, test| Filter::Param(Predicate::new(id, test));
        match &self.param.source {
            Source::Others(others) => Filter::any_of(
                others
                    .iter()
                    .filter_map(|(id, only)| Some(one(*id, limited(&test, *only)?)))
                    .collect(),
            ),
            Source::Parts(parts, other) => {
                let present = |id: &ParamId| present(*id, context);
                let all = Filter::all_of(parts.iter().map(present).collect());
                Filter::any_of(
                    [Some(all), other.as_ref().map(present)].into_iter().flatten().collect(),
                )
            }
            _ => one(self.param.id, test),
        }
    }

    /// One value of the comma list.
    fn one(&self, value: &str, context: &Context<'_>) -> Result<Filter, Refusal> {
        let param = self.param;
        let invalid = || refuse::value(param.code, param.kind);
        match param.kind {
            ParamKind::Reference => Ok(self.of_sources(self.reference(value, context)?, context)),
            ParamKind::Composite => self.composite(value, context),
            kind => {
                let test = single(kind, self.modifier, value)
                    .map_err(|()| refuse::modifier(param, self.modifier.unwrap_or_default()))?
                    .ok_or_else(invalid)?;
                Ok(self.of_sources(test, context))
            }
        }
    }

    /// What a value of a reference parameter names.
    fn reference(&self, value: &str, context: &Context<'_>) -> Result<Test, Refusal> {
        let param = self.param;
        let invalid = || refuse::value(param.code, param.kind);
        let only = match self.modifier {
            None => None,
            Some("identifier") => {
                let test = TokenTest::parse(value).ok_or_else(invalid)?;
                return Ok(Test::Reference(ReferenceTest::Identifier(test)));
            }
            Some(name) => match TypeId::from_name(name) {
                Some(type_id) => Some(type_id),
                None => return Err(refuse::modifier(param, name)),
            },
        };
        reference_test(&unescape(value), only, param.targets, context.base_url).ok_or_else(invalid)
    }

    fn composite(&self, value: &str, context: &Context<'_>) -> Result<Filter, Refusal> {
        let param = self.param;
        let invalid = || refuse::value(param.code, param.kind);
        if let Some(modifier) = self.modifier {
            return Err(refuse::modifier(param, modifier));
        }
        let pieces = split(value, b'$');
        if pieces.len() != param.parts.len() {
            return Err(Refusal::invalid(format!(
                "value of search parameter '{}' has {} components instead of {}",
                param.code,
                pieces.len(),
                param.parts.len()
            )));
        }
        let mut tests = Vec::with_capacity(pieces.len());
        for (piece, part) in pieces.iter().zip(&param.parts) {
            let test = match part.kind {
                ParamKind::Reference => {
                    let text = unescape(piece);
                    reference_test(&text, None, part.targets, context.base_url)
                }
                kind => single(kind, None, piece).map_err(|()| invalid())?,
            };
            tests.push(test.ok_or_else(invalid)?);
        }
        let Source::Parts(parts, other) = &param.source else {
            return Ok(whole(param.id, tests));
        };
        let root = parts
            .iter()
            .zip(&tests)
            .map(|(id, test)| Filter::Param(Predicate::new(*id, test.clone())));
        let root = Filter::all_of(root.collect());
        let other = other.map(|id| whole(id, tests));
        Ok(Filter::any_of([Some(root), other].into_iter().flatten().collect()))
    }

    fn ids(&self, values: &[&str]) -> Result<Filter, Refusal> {
        let negated = match self.modifier {
            None => false,
            Some("not") => true,
            Some(other) => return Err(refuse::modifier(self.param, other)),
        };
        // What is no id is the id of nothing.
        let mut ids: Vec<base::ResourceId> =
            values.iter().filter_map(|value| unescape(value).parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        let filter = if ids.is_empty() { Filter::Nothing } else { Filter::Ids(ids) };
        Ok(if negated { filter.negated() } else { filter })
    }

    fn updated(&self, values: &[&str]) -> Result<Filter, Refusal> {
        if let Some(modifier) = self.modifier {
            return Err(refuse::modifier(self.param, modifier));
        }
        let mut ranges = Vec::with_capacity(values.len());
        for value in values {
            let test = DateTest::parse(value)
                .ok_or_else(|| refuse::value(self.param.code, self.param.kind))?;
            ranges.extend(stamps(&test));
        }
        Ok(if ranges.is_empty() { Filter::Nothing } else { Filter::Updated(ranges) })
    }
}

/// A composite parameter that has terms of its own.
fn whole(id: ParamId, tests: Vec<Test>) -> Filter {
    let components = tests.into();
    Filter::Param(Predicate::new(id, Test::Composite(CompositeTest { components })))
}

/// Whether a parameter has any value, wherever its terms are.
fn present(id: ParamId, context: &Context<'_>) -> Filter {
    match context.catalogue.by_id(id) {
        Some(param) => {
            let clause = Clause { param, modifier: None, value: "" };
            clause.of_sources(Test::Present, context)
        }
        None => Filter::Nothing,
    }
}

/// The test, for references to one type only; `None` if nothing can satisfy it.
fn limited(test: &Test, only: Option<TypeId>) -> Option<Test> {
    let Some(only) = only else { return Some(test.clone()) };
    match test {
        Test::Present => Some(Test::Reference(ReferenceTest::OfType(only))),
        Test::Reference(ReferenceTest::Here(here)) => here.types.contains(&only).then(|| {
            Test::Reference(ReferenceTest::Here(Here { types: [only].into(), ..here.clone() }))
        }),
        Test::Reference(ReferenceTest::Url { type_id, .. }) => {
            (*type_id == Some(only)).then(|| test.clone())
        }
        other => Some(other.clone()),
    }
}

/// A value of a kind that is neither reference nor composite: `Err` if it has no such modifier,
/// `Ok(None)` if the value has not its form.
fn single(kind: ParamKind, modifier: Option<&str>, value: &str) -> Result<Option<Test>, ()> {
    let text = || Box::<str>::from(unescape(value));
    // What folds to nothing, such as a space or an accent alone, would ask for everything.
    let folded = || Some(fold(&unescape(value)).into_boxed_str()).filter(|text| !text.is_empty());
    let test = match (kind, modifier) {
        (ParamKind::String, None) => folded().map(StringTest::Begins).map(Test::String),
        (ParamKind::String, Some("exact")) => Some(Test::String(StringTest::Exact(text()))),
        (ParamKind::String, Some("contains")) => {
            folded().map(StringTest::Contains).map(Test::String)
        }
        (ParamKind::Token, None | Some("not")) => TokenTest::parse(value).map(Test::Token),
        (ParamKind::Uri, None) => Some(Test::Uri(UriTest::Equal(text()))),
        (ParamKind::Uri, Some("below")) => Some(Test::Uri(UriTest::Below(text()))),
        (ParamKind::Uri, Some("above")) => Some(Test::Uri(UriTest::Above(text()))),
        (ParamKind::Date, None) => DateTest::parse(value).map(Test::Date),
        (ParamKind::Number, None) => NumberTest::parse(value).map(Test::Number),
        (ParamKind::Quantity, None) => QuantityTest::parse(value).map(Test::Quantity),
        _ => return Err(()),
    };
    Ok(test)
}

/// What a reference's value names; `None` if it is no form of one.
fn reference_test(
    value: &str,
    only: Option<TypeId>,
    targets: &[TypeId],
    base_url: &str,
) -> Option<Test> {
    let here = |types: Box<[TypeId]>, id: Box<str>, version| {
        let base_url = base_url.into();
        Some(Test::Reference(ReferenceTest::Here(Here { id, types, version, base_url })))
    };
    if value.parse::<base::ResourceId>().is_ok() {
        let types = match only {
            Some(only) => [only].into(),
            None if targets.is_empty() => TypeId::all().collect(),
            None => targets.into(),
        };
        return here(types, value.into(), None);
    }
    let local = Reference::parse(local_part(value, base_url));
    let reference = local.or_else(|| Reference::parse(value))?;
    if only.is_some() && reference.type_id() != only {
        return None;
    }
    let Reference { target, version } = reference;
    match target {
        Target::Local { type_id, id } => here([type_id].into(), id, version),
        Target::Absolute { type_id, url } => {
            Some(Test::Reference(ReferenceTest::Url { url, type_id, version }))
        }
    }
}

/// The stamps that satisfy a date test: each stamp is one millisecond.
fn stamps(test: &DateTest) -> Vec<StampRange> {
    let stamp = |ms: i64| Stamp::from_ms(u64::try_from(ms).unwrap_or(0));
    let range = |from: i64, to: i64| StampRange {
        from: stamp(from),
        to: (to <= i64::try_from(Stamp::MAX.ms()).unwrap_or(i64::MAX)).then(|| stamp(to)),
    };
    let Interval { lo, hi } = test.with;
    let (first, last) = (Interval::OPEN_LO, Interval::OPEN_HI);
    let around = test.with.around();
    let ranges = match test.prefix {
        Prefix::Eq => vec![range(lo, hi)],
        Prefix::Ne => vec![range(first, lo), range(hi, last)],
        Prefix::Gt | Prefix::Sa => vec![range(hi, last)],
        Prefix::Ge => vec![range(lo, last)],
        Prefix::Lt | Prefix::Eb => vec![range(first, lo)],
        Prefix::Le => vec![range(first, hi)],
        Prefix::Ap => vec![range(around.lo, around.hi)],
    };
    ranges.into_iter().filter(|range| range.to.is_none_or(|to| range.from < to)).collect()
}
