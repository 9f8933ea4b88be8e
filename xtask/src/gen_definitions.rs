//! `cargo xtask gen`: from HL7's definitions in `data/fhir-r4` to `crates/fhir/src/definitions.bin`.

use crate::shell;
use anyhow::{Context, bail};
use fhir::{
    Artifact, ArtifactComponent, ArtifactElement, ArtifactParam, ArtifactType, ParamKind, TypeKind,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

const SOURCE: &str = "data/fhir-r4";
const OUTPUT: &str = "crates/fhir/src/definitions.bin";
const VERSION: &str = "4.0.1";
/// The highest that zstd keeps quick to decompress.
const LEVEL: i32 = 19;
/// Names an element's FHIR type where the definition gives one of FHIRPath.
const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
const FHIRPATH: &str = "http://hl7.org/fhirpath/";

/// What to do.
#[derive(clap::Args)]
pub struct Arguments {
    /// Writes nothing; fails when the committed file differs.
    #[arg(long)]
    check: bool,
}

/// Makes the artifact, or checks it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let artifact = make(Path::new(SOURCE))?;
    let bytes = postcard::to_allocvec(&artifact).context("encode")?;
    if arguments.check {
        // The content counts: another version of zstd may compress it otherwise.
        let committed = std::fs::read(OUTPUT).with_context(|| format!("read {OUTPUT}"))?;
        if zstd::decode_all(&committed[..]).ok().as_deref() != Some(&bytes[..]) {
            bail!("{OUTPUT} is not what `cargo xtask gen` makes");
        }
        shell::talk(&format!("{OUTPUT} is up to date"));
        return Ok(());
    }
    let packed = zstd::encode_all(&bytes[..], LEVEL).context("compress")?;
    std::fs::write(OUTPUT, &packed).with_context(|| format!("write {OUTPUT}"))?;
    shell::talk(&format!(
        "{OUTPUT}: {} types, {} resource types, {} search parameters; {} bytes, {} unpacked",
        artifact.types.len(),
        artifact.resources.len(),
        artifact.params.len(),
        packed.len(),
        bytes.len(),
    ));
    Ok(())
}

fn make(folder: &Path) -> anyhow::Result<Artifact> {
    let mut structures = BTreeMap::new();
    for file in ["profiles-types", "profiles-resources"] {
        for resource in resources(&folder.join(format!("{file}.json.xz")))? {
            let defines = resource["resourceType"] == "StructureDefinition"
                // The published files also hold a SubscriptionStatus of 4.3.0.
                && resource["fhirVersion"] == VERSION
                && resource["derivation"] != "constraint"
                && resource["kind"] != "logical";
            if defines {
                structures.insert(text(&resource, "type")?.to_owned(), resource);
            }
        }
    }
    let mut types = BTreeMap::new();
    for structure in structures.values() {
        collect_types(structure, &mut types)?;
    }
    let names: Vec<&String> = types.keys().collect();
    let index: BTreeMap<&str, u16> = names
        .iter()
        .enumerate()
        .map(|(at, name)| Ok((name.as_str(), u16::try_from(at)?)))
        .collect::<anyhow::Result<_>>()?;
    let concrete = |structure: &&Value| {
        structure["kind"] == "resource" && structure["abstract"] == Value::Bool(false)
    };
    let resources = structures.values().filter(concrete).map(|s| Ok(text(s, "type")?.to_owned()));
    Ok(Artifact {
        version: VERSION.to_owned(),
        resources: resources.collect::<anyhow::Result<_>>()?,
        types: types.values().map(|ty| ty.number(&index)).collect::<anyhow::Result<_>>()?,
        params: params(&folder.join("search-parameters.json.xz"))?,
    })
}

/// The resources of a Bundle in an xz file.
fn resources(path: &Path) -> anyhow::Result<Vec<Value>> {
    let open = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(open)?;
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(file).read_to_end(&mut bytes).with_context(open)?;
    let mut bundle: Value = serde_json::from_slice(&bytes).with_context(open)?;
    let Some(Value::Array(entries)) = bundle.get_mut("entry").map(Value::take) else {
        bail!("{} is not a Bundle", path.display());
    };
    Ok(entries.into_iter().map(|mut entry| entry["resource"].take()).collect())
}

fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name].as_str().with_context(|| format!("{} has no {name}", value["id"]))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// A type with names where the artifact has numbers.
struct NamedType {
    name: String,
    kind: TypeKind,
    base: Option<String>,
    elements: Vec<NamedElement>,
}

struct NamedElement {
    element: ArtifactElement,
    types: Vec<String>,
}

impl NamedType {
    fn number(&self, index: &BTreeMap<&str, u16>) -> anyhow::Result<ArtifactType> {
        let find = |name: &String| {
            index
                .get(name.as_str())
                .copied()
                .with_context(|| format!("{}: no type {name}", self.name))
        };
        let mut elements = Vec::with_capacity(self.elements.len());
        for named in &self.elements {
            let types = named.types.iter().map(find).collect::<anyhow::Result<_>>()?;
            elements.push(ArtifactElement { types, ..named.element.clone() });
        }
        Ok(ArtifactType {
            name: self.name.clone(),
            kind: self.kind,
            base: self.base.as_ref().map(find).transpose()?,
            elements,
        })
    }
}

/// The type of a structure, and those of the elements that have elements inside it.
fn collect_types(structure: &Value, types: &mut BTreeMap<String, NamedType>) -> anyhow::Result<()> {
    let name = text(structure, "type")?;
    let kind = match text(structure, "kind")? {
        "primitive-type" => TypeKind::Primitive,
        "complex-type" => TypeKind::Complex,
        "resource" => TypeKind::Resource,
        other => bail!("{name} is of kind {other}"),
    };
    let base = structure["baseDefinition"].as_str().and_then(|url| url.rsplit('/').next());
    let elements = list(&structure["snapshot"], "element");
    let paths: Vec<&str> = elements.iter().map(|e| text(e, "path")).collect::<Result<_, _>>()?;
    let parents: BTreeSet<&str> =
        paths.iter().filter_map(|path| path.rsplit_once('.')).map(|(parent, _)| parent).collect();
    let whole =
        NamedType { name: name.to_owned(), kind, base: base.map(str::to_owned), elements: vec![] };
    types.insert(name.to_owned(), whole);
    for (element, path) in elements.iter().zip(paths) {
        let Some((parent, last)) = path.rsplit_once('.') else { continue };
        if element["max"] == "0" || (kind == TypeKind::Primitive && last == "value") {
            continue;
        }
        let mut codes = element_types(element)?;
        if parents.contains(path) {
            let inner = NamedType {
                name: path.to_owned(),
                kind: TypeKind::Backbone,
                base: codes.pop(),
                elements: vec![],
            };
            types.insert(path.to_owned(), inner);
            codes = vec![path.to_owned()];
        }
        let named = named_element(element, last, codes)?;
        types
            .get_mut(parent)
            .with_context(|| format!("{path} before {parent}"))?
            .elements
            .push(named);
    }
    Ok(())
}

fn named_element(element: &Value, last: &str, types: Vec<String>) -> anyhow::Result<NamedElement> {
    let many = match text(element, "max")? {
        "1" => false,
        "*" => true,
        other => bail!("{}: max is {other}", element["path"]),
    };
    if types.is_empty() {
        bail!("{}: no type", element["path"]);
    }
    let name = last.strip_suffix("[x]");
    Ok(NamedElement {
        element: ArtifactElement {
            name: name.unwrap_or(last).to_owned(),
            types: Vec::new(),
            choice: name.is_some(),
            required: element["min"].as_u64().unwrap_or(0) > 0,
            many,
            attribute: list(element, "representation").iter().any(|r| r == "xmlAttr"),
        },
        types,
    })
}

/// The names of an element's types.
fn element_types(element: &Value) -> anyhow::Result<Vec<String>> {
    if let Some(reference) = element["contentReference"].as_str() {
        return Ok(vec![reference.trim_start_matches('#').to_owned()]);
    }
    let is_id = element["base"]["path"] == "Resource.id";
    let mut types = Vec::new();
    for ty in list(element, "type") {
        let code = text(ty, "code")?;
        // HL7 calls Resource.id a string; its page (resource.html#id) says it is an id.
        let name = if is_id {
            "id"
        } else if code.starts_with(FHIRPATH) {
            let told = list(ty, "extension").iter().find(|e| e["url"] == FHIR_TYPE);
            told.and_then(|e| e["valueUrl"].as_str()).unwrap_or("string")
        } else {
            code
        };
        types.push(name.to_owned());
    }
    Ok(types)
}

fn params(path: &Path) -> anyhow::Result<Vec<ArtifactParam>> {
    let mut params = resources(path)?;
    params.sort_by(|a, b| a["url"].as_str().cmp(&b["url"].as_str()));
    let mut index = BTreeMap::new();
    for (at, param) in params.iter().enumerate() {
        if index.insert(text(param, "url")?, u16::try_from(at)?).is_some() {
            bail!("{} stands twice", param["url"]);
        }
    }
    let texts = |values: &[Value]| -> Vec<String> {
        values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let mut made = Vec::with_capacity(params.len());
    for param in &params {
        let mut components = Vec::new();
        for component in list(param, "component") {
            let definition = text(component, "definition")?;
            let param = index.get(definition).with_context(|| format!("no {definition}"))?;
            let expression = text(component, "expression")?.to_owned();
            components.push(ArtifactComponent { param: *param, expression });
        }
        made.push(ArtifactParam {
            url: text(param, "url")?.to_owned(),
            code: text(param, "code")?.to_owned(),
            kind: param_kind(text(param, "type")?)?,
            bases: texts(list(param, "base")),
            expression: param["expression"].as_str().map(str::to_owned),
            targets: texts(list(param, "target")),
            components,
        });
    }
    Ok(made)
}

fn param_kind(text: &str) -> anyhow::Result<ParamKind> {
    Ok(match text {
        "number" => ParamKind::Number,
        "date" => ParamKind::Date,
        "string" => ParamKind::String,
        "token" => ParamKind::Token,
        "reference" => ParamKind::Reference,
        "composite" => ParamKind::Composite,
        "quantity" => ParamKind::Quantity,
        "uri" => ParamKind::Uri,
        "special" => ParamKind::Special,
        other => bail!("search parameter of type {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_definitions_are_what_the_generator_makes() -> anyhow::Result<()> {
        std::env::set_current_dir(shell::workspace_root())?;
        run(&Arguments { check: true })
    }
}
