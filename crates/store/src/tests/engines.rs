use super::*;

#[test]
fn memory_keeps_the_contract() {
    crate::conformance::all(&|| account(Engine::Memory));
}
