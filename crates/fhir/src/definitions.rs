//! HL7's definitions of R4 as tables: which element stands where, of which type, how often; and
//! the search parameters with their expressions compiled for each resource type.

use crate::artifact::{
    Artifact, ArtifactElement, ArtifactParam, ArtifactType, ParamKind, TypeKind,
};
use crate::primitive::Primitive;
use crate::{Expression, ExpressionError, TypeId};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// The number of an element's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameId(pub(crate) u16);

/// The number of a type, in the artifact's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TypeIndex(pub(crate) u16);

/// Every name that an element or a member of JSON may have.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<&'static str, NameId>,
    texts: Vec<&'static str>,
}

impl Names {
    pub(crate) fn find(&self, text: &str) -> Option<NameId> {
        self.numbers.get(text).copied()
    }
    pub(crate) fn text(&self, name: NameId) -> &'static str {
        self.texts.get(usize::from(name.0)).copied().unwrap_or_default()
    }
    fn add(&mut self, text: &'static str) -> NameId {
        *self.numbers.entry(text).or_insert_with(|| {
            let number = u16::try_from(self.texts.len()).expect("R4 has a few thousand names");
            self.texts.push(text);
            NameId(number)
        })
    }
}

/// Names that the code itself looks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownNames {
    pub(crate) resource_type: NameId,
    pub(crate) id: NameId,
    pub(crate) meta: NameId,
    pub(crate) version_id: NameId,
    pub(crate) last_updated: NameId,
    pub(crate) contained: NameId,
    pub(crate) reference: NameId,
    pub(crate) extension: NameId,
    pub(crate) entry: NameId,
    pub(crate) resource: NameId,
    pub(crate) full_url: NameId,
}

/// A type with its elements.
#[derive(Debug)]
pub(crate) struct TypeDef {
    pub(crate) name: &'static str,
    pub(crate) kind: TypeKind,
    pub(crate) base: Option<TypeIndex>,
    /// How its text is checked, if it is a primitive.
    pub(crate) primitive: Option<Primitive>,
    /// Its number, if it is a concrete resource type.
    pub(crate) resource: Option<TypeId>,
    pub(crate) elements: Vec<ElementDef>,
    /// Where each element stands in [`TypeDef::elements`], by name.
    by_name: Vec<(NameId, u8)>,
    /// Every member that JSON may have, by name.
    members: Vec<Member>,
    /// A bit for each element that must be there.
    pub(crate) required: u64,
}

/// An element of a type.
#[derive(Debug)]
pub(crate) struct ElementDef {
    pub(crate) name: NameId,
    pub(crate) choice: bool,
    pub(crate) many: bool,
    pub(crate) attribute: bool,
    /// The members that it may be in JSON, and their types.
    pub(crate) variants: Vec<(NameId, TypeIndex)>,
    /// The least and the greatest of their names.
    span: (NameId, NameId),
}

/// A member of JSON: which element it is, and of which type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) name: NameId,
    pub(crate) element: u8,
    pub(crate) ty: TypeIndex,
}

impl TypeDef {
    pub(crate) fn member(&self, name: NameId) -> Option<Member> {
        let found = self.members.binary_search_by_key(&name, |member| member.name).ok()?;
        Some(self.members[found])
    }
    pub(crate) fn element(&self, name: NameId) -> Option<&ElementDef> {
        let found = self.by_name.binary_search_by_key(&name, |entry| entry.0).ok()?;
        self.elements.get(usize::from(self.by_name[found].1))
    }
}

impl ElementDef {
    /// The member of this name, if it is one of this element's.
    pub(crate) fn variant(&self, name: NameId) -> Option<(NameId, TypeIndex)> {
        if name < self.span.0 || name > self.span.1 {
            return None;
        }
        self.variants.iter().copied().find(|variant| variant.0 == name)
    }
}

/// The number of a search parameter: its index by URL among R4's 1,378. A contract on disk: index
/// keys hold it. Numbers from 0x8000 are for parameters that an account adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParamNumber(pub u16);

/// A search parameter of R4.
#[derive(Debug)]
pub struct SearchParam {
    /// Its number.
    pub number: ParamNumber,
    /// Its canonical URL.
    pub url: &'static str,
    /// Its name in a query.
    pub code: &'static str,
    /// How it is searched.
    pub kind: ParamKind,
    /// FHIRPath as HL7 wrote it; `None`: `_text`, `_content`, `_query`.
    pub expression: Option<&'static str>,
    /// The resource types that it searches, inherited ones written out.
    pub bases: Vec<TypeId>,
    /// What a reference may point to; empty when it is none, or may point to anything.
    pub targets: Vec<TypeId>,
    /// Of a composite, in order.
    pub components: Vec<Component>,
}

/// A component of a composite parameter.
#[derive(Debug)]
pub struct Component {
    /// The parameter that it is searched like.
    pub param: ParamNumber,
    /// From each value of the composite's own expression.
    pub expression: Expression,
}

/// A search parameter as it applies to one resource type.
#[derive(Debug)]
pub struct TypeParam {
    /// Which.
    pub number: ParamNumber,
    /// Its name in a query.
    pub code: &'static str,
    /// How it is searched.
    pub kind: ParamKind,
    /// Only the arms of its union that concern the type.
    pub expression: Expression,
}

/// The embedded table is not one.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionsError {
    /// zstd refuses it.
    #[error("definitions do not decompress")]
    Compressed(#[from] std::io::Error),
    /// postcard refuses it.
    #[error("definitions do not decode")]
    Encoded(#[from] postcard::Error),
    /// A number in it points nowhere, or a table is too long.
    #[error("definitions are inconsistent: {0}")]
    Inconsistent(&'static str),
    /// An expression in it does not compile.
    #[error("expression of search parameter {code} does not compile")]
    Expression {
        /// Which.
        code: String,
        /// Why.
        source: ExpressionError,
    },
}

/// R4's definitions.
#[derive(Debug)]
pub struct Definitions {
    version: &'static str,
    names: Names,
    known: KnownNames,
    types: Vec<TypeDef>,
    types_by_name: HashMap<&'static str, TypeIndex>,
    resources: Vec<TypeIndex>,
    params: Vec<SearchParam>,
    params_by_type: Vec<Vec<TypeParam>>,
}

/// The definitions that are built in (`definitions.bin`, made by `cargo xtask gen`). The first call
/// loads them.
#[must_use]
pub fn definitions() -> &'static Definitions {
    static LOADED: OnceLock<Definitions> = OnceLock::new();
    LOADED.get_or_init(|| {
        Definitions::load(include_bytes!("definitions.bin"))
            .expect("definitions.bin is made and checked by `cargo xtask gen`")
    })
}

impl Definitions {
    /// Reads what `cargo xtask gen` wrote. Call it once: the texts live as long as the process.
    pub fn load(bytes: &[u8]) -> Result<Self, DefinitionsError> {
        let artifact: Artifact = postcard::from_bytes(&zstd::decode_all(bytes)?)?;
        let artifact: &'static Artifact = Box::leak(Box::new(artifact));
        let mut names = Names::default();
        let known = known_names(&mut names);
        let mut types = Vec::with_capacity(artifact.types.len());
        for definition in &artifact.types {
            types.push(type_def(definition, artifact, &mut names)?);
        }
        let index = |at: usize| TypeIndex(u16::try_from(at).unwrap_or(u16::MAX));
        let types_by_name: HashMap<_, _> = types
            .iter()
            .enumerate()
            .map(|(at, def): (_, &TypeDef)| (def.name, index(at)))
            .collect();
        let mut resources = Vec::with_capacity(artifact.resources.len());
        for (number, name) in artifact.resources.iter().enumerate() {
            let missing = DefinitionsError::Inconsistent("a resource type without definition");
            let at = *types_by_name.get(name.as_str()).ok_or(missing)?;
            let number = u8::try_from(number)
                .map_err(|_| DefinitionsError::Inconsistent("more than 256 resource types"))?;
            types[usize::from(at.0)].resource = Some(TypeId::of_index(number));
            resources.push(at);
        }
        let mut loaded = Self {
            version: &artifact.version,
            names,
            known,
            types,
            types_by_name,
            resources,
            params: Vec::new(),
            params_by_type: Vec::new(),
        };
        loaded.params = loaded.compile_params(&artifact.params)?;
        loaded.params_by_type = loaded.compile_by_type()?;
        Ok(loaded)
    }

    /// The version of FHIR: `4.0.1`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.version
    }
    /// Every search parameter; the index is its number.
    #[must_use]
    pub fn params(&self) -> &[SearchParam] {
        &self.params
    }
    /// The search parameter of this number.
    #[must_use]
    pub fn param(&self, number: ParamNumber) -> Option<&SearchParam> {
        self.params.get(usize::from(number.0))
    }
    /// The search parameters with an expression that apply to a type, by code.
    #[must_use]
    pub fn params_of(&self, id: TypeId) -> &[TypeParam] {
        self.params_by_type.get(usize::from(id.get())).map_or(&[], Vec::as_slice)
    }
    /// The search parameter of a type by its name in a query.
    #[must_use]
    pub fn param_of(&self, id: TypeId, code: &str) -> Option<&TypeParam> {
        let params = self.params_of(id);
        let found = params.binary_search_by(|param| param.code.cmp(code)).ok()?;
        params.get(found)
    }
    /// Whether `name` is a type of FHIR that is, or inherits from, `ancestor`.
    #[must_use]
    pub fn is_subtype(&self, name: &str, ancestor: &str) -> bool {
        match (self.type_index(name), self.type_index(ancestor)) {
            (Some(name), Some(ancestor)) => self.inherits(name, ancestor),
            _ => false,
        }
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }
    pub(crate) fn known(&self) -> &KnownNames {
        &self.known
    }
    pub(crate) fn type_index(&self, name: &str) -> Option<TypeIndex> {
        self.types_by_name.get(name).copied()
    }
    pub(crate) fn type_def(&self, index: TypeIndex) -> &TypeDef {
        &self.types[usize::from(index.0)]
    }
    pub(crate) fn type_of_resource(&self, id: TypeId) -> TypeIndex {
        self.resources[usize::from(id.get())]
    }
    pub(crate) fn type_id(&self, name: &str) -> Option<TypeId> {
        self.type_def(self.type_index(name)?).resource
    }
    pub(crate) fn type_id_name(&self, id: TypeId) -> &'static str {
        self.type_def(self.type_of_resource(id)).name
    }
    pub(crate) fn type_count(&self) -> usize {
        self.resources.len()
    }
    pub(crate) fn inherits(&self, mut index: TypeIndex, ancestor: TypeIndex) -> bool {
        loop {
            if index == ancestor {
                return true;
            }
            match self.type_def(index).base {
                Some(base) => index = base,
                None => return false,
            }
        }
    }

    fn compile_params(
        &self,
        params: &'static [ArtifactParam],
    ) -> Result<Vec<SearchParam>, DefinitionsError> {
        let compile = |code: &str, text: &str| {
            Expression::compile_with(self, text)
                .map_err(|source| DefinitionsError::Expression { code: code.to_owned(), source })
        };
        let mut compiled = Vec::with_capacity(params.len());
        for (number, param) in params.iter().enumerate() {
            let mut components = Vec::with_capacity(param.components.len());
            for component in &param.components {
                components.push(Component {
                    param: ParamNumber(component.param),
                    expression: compile(&param.code, &component.expression)?,
                });
            }
            let number = u16::try_from(number)
                .map_err(|_| DefinitionsError::Inconsistent("more than 65,536 parameters"))?;
            compiled.push(SearchParam {
                number: ParamNumber(number),
                url: &param.url,
                code: &param.code,
                kind: param.kind,
                expression: param.expression.as_deref(),
                bases: self.written_out(&param.bases),
                targets: self.written_out(&param.targets),
                components,
            });
        }
        Ok(compiled)
    }

    /// The concrete resource types among these and their subtypes.
    fn written_out(&self, names: &[String]) -> Vec<TypeId> {
        let wanted: Vec<_> = names.iter().filter_map(|name| self.type_index(name)).collect();
        let concrete = self
            .resources
            .iter()
            .filter(|&&resource| wanted.iter().any(|&ancestor| self.inherits(resource, ancestor)));
        concrete.filter_map(|&resource| self.type_def(resource).resource).collect()
    }

    fn compile_by_type(&self) -> Result<Vec<Vec<TypeParam>>, DefinitionsError> {
        let mut by_type: Vec<Vec<TypeParam>> =
            (0..self.resources.len()).map(|_| Vec::new()).collect();
        for param in &self.params {
            let Some(text) = param.expression else { continue };
            let whole = Expression::compile_with(self, text).map_err(|source| {
                DefinitionsError::Expression { code: param.code.to_owned(), source }
            })?;
            for &base in &param.bases {
                by_type[usize::from(base.get())].push(TypeParam {
                    number: param.number,
                    code: param.code,
                    kind: param.kind,
                    expression: whole.for_type(self, self.type_of_resource(base)),
                });
            }
        }
        for params in &mut by_type {
            params.sort_by_key(|param| param.code);
        }
        Ok(by_type)
    }
}

fn known_names(names: &mut Names) -> KnownNames {
    KnownNames {
        resource_type: names.add("resourceType"),
        id: names.add("id"),
        meta: names.add("meta"),
        version_id: names.add("versionId"),
        last_updated: names.add("lastUpdated"),
        contained: names.add("contained"),
        reference: names.add("reference"),
        extension: names.add("extension"),
        entry: names.add("entry"),
        resource: names.add("resource"),
        full_url: names.add("fullUrl"),
    }
}

fn type_def(
    definition: &'static ArtifactType,
    artifact: &'static Artifact,
    names: &mut Names,
) -> Result<TypeDef, DefinitionsError> {
    if definition.elements.len() > 64 {
        return Err(DefinitionsError::Inconsistent("a type of more than 64 elements"));
    }
    let mut def = TypeDef {
        name: &definition.name,
        kind: definition.kind,
        base: definition.base.map(TypeIndex),
        primitive: match definition.kind {
            TypeKind::Primitive => Some(
                Primitive::of(&definition.name)
                    .ok_or(DefinitionsError::Inconsistent("an unknown primitive type"))?,
            ),
            _ => None,
        },
        resource: None,
        elements: Vec::with_capacity(definition.elements.len()),
        by_name: Vec::with_capacity(definition.elements.len()),
        members: Vec::new(),
        required: 0,
    };
    for (number, element) in definition.elements.iter().enumerate() {
        let variants = variants(element, artifact, names)?;
        let number = u8::try_from(number).expect("at most 64 elements");
        let member = |&(name, ty)| Member { name, element: number, ty };
        def.members.extend(variants.iter().map(member));
        def.required |= u64::from(element.required) << number;
        let name = names.add(&element.name);
        let all = || variants.iter().map(|variant| variant.0);
        let span = (all().min().unwrap_or(name), all().max().unwrap_or(name));
        def.by_name.push((name, number));
        def.elements.push(ElementDef {
            name,
            choice: element.choice,
            many: element.many,
            attribute: element.attribute,
            variants,
            span,
        });
    }
    def.by_name.sort_by_key(|entry| entry.0);
    def.members.sort_by_key(|member| member.name);
    Ok(def)
}

/// The names that an element may have in JSON, each with its type.
fn variants(
    element: &'static ArtifactElement,
    artifact: &'static Artifact,
    names: &mut Names,
) -> Result<Vec<(NameId, TypeIndex)>, DefinitionsError> {
    let mut variants = Vec::with_capacity(element.types.len());
    for &ty in &element.types {
        let missing = DefinitionsError::Inconsistent("a type that is not there");
        let type_name: &'static str = &artifact.types.get(usize::from(ty)).ok_or(missing)?.name;
        let name = if element.choice {
            let (head, tail) = type_name.split_at(1);
            let text = format!("{}{}{tail}", element.name, head.to_ascii_uppercase());
            match names.find(&text) {
                Some(name) => name,
                None => names.add(Box::leak(text.into_boxed_str())),
            }
        } else {
            names.add(&element.name)
        };
        variants.push((name, TypeIndex(ty)));
    }
    Ok(variants)
}
