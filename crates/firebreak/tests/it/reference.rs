//! `docs/reference/cli.md` is what the program says of itself. After a change of a verb:
//! `FIREBREAK_WRITE_REFERENCE=1 cargo test -p firebreak --test it reference`.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

const HEAD: &str = "# Verbs and flags\n\n\
    Made from the program's own help; a test compares. Exit codes are in [serve.md](serve.md).\n";

/// What `firebreak VERBS… --help` prints.
fn help(verbs: &[String]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_firebreak"))
        .args(verbs)
        .arg("--help")
        .env_clear()
        .env("COLUMNS", "100")
        .output()
        .expect("the program starts");
    assert!(out.status.success(), "{verbs:?} --help");
    String::from_utf8(out.stdout).expect("text")
}

/// The verbs below, as the help lists them.
fn below(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter_map(|line| {
        // The names stand two blanks in; what explains them goes on further right.
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    names.collect()
}

fn describe(page: &mut String, verbs: &[String]) {
    let text = help(verbs);
    let name = ["firebreak".to_owned()].iter().chain(verbs).cloned().collect::<Vec<_>>().join(" ");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n"))
        .expect("a string takes it");
    for verb in below(&text) {
        let mut verbs = verbs.to_vec();
        verbs.push(verb);
        describe(page, &verbs);
    }
}

#[test]
fn the_page_of_verbs_is_what_the_program_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let mut page = HEAD.to_owned();
    describe(&mut page, &[]);
    assert!(page.contains("## `firebreak dr quarantine export`"), "verbs below verbs are found");
    if std::env::var_os("FIREBREAK_WRITE_REFERENCE").is_some() {
        std::fs::write(&file, &page).expect("the page is ours");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(committed, page, "write it anew: FIREBREAK_WRITE_REFERENCE=1");
}
