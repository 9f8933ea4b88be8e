use super::*;

#[test]
fn memory_keeps_the_contract() {
    crate::conformance::all(&|| account(Engine::Memory));
}

#[test]
fn embedded_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let count = std::cell::Cell::new(0);
    crate::conformance::all(&|| {
        count.set(count.get() + 1);
        account(Engine::Embedded(folder.path().join(count.get().to_string())))
    });
}
