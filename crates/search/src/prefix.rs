//! How a query compares an ordered value (<https://hl7.org/fhir/R4/search.html#prefix>).

/// A comparison, named as in queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

impl Prefix {
    const ALL: [(&'static str, Self); 9] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("gt", Self::Gt),
        ("lt", Self::Lt),
        ("ge", Self::Ge),
        ("le", Self::Le),
        ("sa", Self::Sa),
        ("eb", Self::Eb),
        ("ap", Self::Ap),
    ];

    /// Takes the prefix off; without one it is `eq`.
    pub(crate) fn split(text: &str) -> (Self, &str) {
        Self::ALL
            .iter()
            .find_map(|(name, prefix)| Some((*prefix, text.strip_prefix(name)?)))
            .unwrap_or((Self::Eq, text))
    }

    #[cfg(test)]
    pub(crate) fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        proptest::sample::select(Self::ALL.map(|(_, prefix)| prefix).to_vec())
    }
}
