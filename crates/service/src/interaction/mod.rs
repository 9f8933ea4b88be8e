//! FHIR's interactions, one file each, and the one place that leads to them: for a request, and
//! for an entry of a batch.

pub mod capabilities;
pub mod create;
pub mod delete;
pub mod health;
pub mod history;
pub mod read;
pub mod search;
pub mod update;
pub mod vread;

use crate::query::Controls;
use crate::route::{Interaction, Target};
use crate::{Answer, Call, Error, Failure};
use fhir::Resource;

/// What one interaction is asked.
pub struct Asked {
    /// Which one.
    pub interaction: Interaction,
    /// Of what.
    pub target: Target,
    /// The parameters of the URL, and of the form.
    pub controls: Controls,
    /// The resource that came with it.
    pub resource: Option<Resource>,
}

/// Answers one interaction; bundles and `/metadata` are answered elsewhere.
pub async fn answer(call: &Call, asked: Asked) -> Result<Answer, Failure> {
    let Asked { interaction, target, controls, resource } = asked;
    let listing =
        [Interaction::Search, Interaction::SearchForm, Interaction::History].contains(&interaction);
    if !listing {
        controls.check_none()?;
    }
    match (interaction, target) {
        (Interaction::Create, Target::Type(type_id)) => {
            create::create(call, type_id, &resource.ok_or(Error::NoBody)?).await
        }
        (Interaction::Update, Target::Instance(type_id, id)) => {
            update::update(call, type_id, &id, &resource.ok_or(Error::NoBody)?).await
        }
        (Interaction::Delete, Target::Instance(type_id, id)) => {
            delete::delete(call, type_id, &id).await
        }
        (Interaction::Read, Target::Instance(type_id, id)) => read::read(call, type_id, &id),
        (Interaction::VersionRead, Target::Version(type_id, id, version)) => {
            vread::vread(call, type_id, &id, &version)
        }
        (Interaction::History, target) => history::history(call, &target, &controls).await,
        (
            Interaction::Search | Interaction::SearchForm,
            Target::Type(type_id) | Target::TypeSearch(type_id),
        ) => search::search(call, Some(type_id), &controls).await,
        (Interaction::Search | Interaction::SearchForm, _) => {
            search::search(call, None, &controls).await
        }
        _ => Err(Error::Path.into()),
    }
}
