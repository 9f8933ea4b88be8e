//! The same work on every item of a list, on all cores.

use parking_lot::Mutex;

/// Items handed out at one time: enough that the lock costs nothing, few enough to share evenly.
const BLOCK: usize = 16;

/// `work` on every item, results in order. The caller must be where blocking is allowed.
pub fn map<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let threads = threads.min(items.len().div_ceil(BLOCK));
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let len = items.len();
    let source = Mutex::new(items.into_iter().enumerate());
    let parts = std::thread::scope(|scope| {
        let run = || {
            let mut done: Vec<(usize, R)> = Vec::with_capacity(len / threads + BLOCK);
            loop {
                let block: Vec<(usize, T)> = source.lock().by_ref().take(BLOCK).collect();
                if block.is_empty() {
                    return done;
                }
                done.extend(block.into_iter().map(|(index, item)| (index, work(item))));
            }
        };
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut parts = vec![run()];
        for other in others {
            match other.join() {
                Ok(part) => parts.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    });
    let mut all: Vec<(usize, R)> = parts.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_whatever_the_threads() {
        for (len, threads) in [(0, 2), (1, 2), (16, 2), (17, 2), (1000, 4)] {
            let items: Vec<usize> = (0..len).collect();
            let expected: Vec<usize> = items.iter().map(|item| item * 3).collect();
            assert_eq!(map(items, threads, |item| item * 3), expected);
        }
    }
}
