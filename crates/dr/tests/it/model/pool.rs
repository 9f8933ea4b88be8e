//! Each part of a state is kept once and named by a number, and each step of a part is computed
//! once: so that millions of states cost what a few thousand different parts cost.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// Only looked up, never iterated: its order shows nowhere.
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated")]
pub type Map<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Mix>>;

/// Names a part in its pool.
pub type Id = u32;

pub struct Pool<T> {
    ids: Map<Arc<T>, Id>,
    items: Vec<Arc<T>>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { ids: Map::default(), items: Vec::new() }
    }
}

impl<T: Eq + Hash> Pool<T> {
    pub fn intern(&mut self, item: T) -> Id {
        if let Some(id) = self.ids.get(&item) {
            return *id;
        }
        let id = Id::try_from(self.items.len()).expect("fewer parts than that fit in memory");
        let item = Arc::new(item);
        self.items.push(Arc::clone(&item));
        self.ids.insert(item, id);
        id
    }

    pub fn get(&self, id: Id) -> &Arc<T> {
        self.items.get(id as usize).expect("only the pool gives out its ids")
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }
}

/// A hash for keys that nobody chooses to harm.
#[derive(Default)]
pub struct Mix(u64);

impl Mix {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, it: u8) {
        self.add(u64::from(it));
    }
    fn write_u32(&mut self, it: u32) {
        self.add(u64::from(it));
    }
    fn write_u64(&mut self, it: u64) {
        self.add(it);
    }
    fn write_usize(&mut self, it: usize) {
        self.add(it as u64);
    }
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}
