//! `firebreak init`: a cluster with its authority, its first region, and its operator.

use crate::config::{Addresses, Config};
use anyhow::Context;
use base::{MemberId, MemberName};
use control::{Authority, Directory, Identity, Kind, Member, OsRng, Roster, Subject};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `firebreak init`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The first region's configuration file.
    #[arg(long, short)]
    config: PathBuf,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

/// Makes the cluster.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config)?;
    config.expect(Kind::Region)?;
    let made = found(&config)?;
    let mut out = std::io::stdout();
    if arguments.json {
        let text = json!({
            "cluster": made.cluster.to_string(),
            "member": made.member.to_string(),
            "operator": made.operator,
        });
        writeln!(out, "{text}")?;
    } else {
        let (data, file) = (config.data.display(), arguments.config.display());
        writeln!(out, "made cluster {} with its first region, {}", made.cluster, config.name)?;
        writeln!(out, "its authority is {data}/tls/authority.key: it makes members, keep it safe")?;
        writeln!(out, "the operator's credentials are in {}", made.operator.display())?;
        writeln!(out, "next: firebreak region --config {file}")?;
        writeln!(out, "and for each further member: firebreak invite --config {file} --name NAME")?;
    }
    Ok(())
}

/// A cluster that was made.
pub struct Made {
    cluster: MemberId,
    member: MemberId,
    operator: PathBuf,
}

/// Makes a cluster of one region, with its authority and its operator.
pub fn found(config: &Config) -> anyhow::Result<Made> {
    Directory::refuse_used(&config.data)?;
    let cluster = MemberId::mint(&mut OsRng);
    let (member, operator) = (MemberId::mint(&mut OsRng), MemberId::mint(&mut OsRng));
    let authority = Authority::create(cluster)?;
    let Addresses { peer, serve, ship } = config.advertised()?;
    let name = config.name.clone();
    let region = Member { name: name.clone(), id: member, kind: Kind::Region, peer, serve, ship };
    let operator_name: MemberName = "operator".parse().context("a valid name")?;
    let operators = Member {
        name: operator_name.clone(),
        id: operator,
        kind: Kind::Operator,
        peer: String::new(),
        serve: String::new(),
        ship: String::new(),
    };
    let roster = Roster { cluster, version: 1, members: vec![region, operators] };
    let credentials = authority.issue(Subject { id: member, kind: Kind::Region }, &name)?;
    // The identity comes last: without it the directory is nobody's, and init may run again.
    control::write_authority(&config.data, &authority)?;
    let folder = config.data.join("operator");
    write_operator(&folder, &authority, operator, &operator_name, &roster)?;
    let identity = Identity::new(cluster, member, name, Kind::Region);
    Directory::create(&config.data, &identity, &credentials, &roster, config.timing)?;
    Ok(Made { cluster, member, operator: folder })
}

fn write_operator(
    folder: &Path,
    authority: &Authority,
    id: MemberId,
    name: &MemberName,
    roster: &Roster,
) -> anyhow::Result<()> {
    let credentials = authority.issue(Subject { id, kind: Kind::Operator }, name)?;
    control::write_credentials(&folder.join("tls"), &credentials)?;
    control::write_roster(folder, roster)?;
    Ok(())
}
