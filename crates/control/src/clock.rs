//! The machine's clocks and its randomness, behind the traits of `base`.

use base::{BootTime, Clock, Rng, Stamp};
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME` and the wall clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn boot(&self) -> BootTime {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).expect("boot time begins at zero");
        let nanos = u64::try_from(now.tv_nsec).expect("nanoseconds are not negative");
        BootTime::from_us(seconds * 1_000_000 + nanos / 1000)
    }

    fn wall(&self) -> Stamp {
        let now = clock_gettime(ClockId::Realtime);
        // A wall clock set before 1970 stamps 1970; the ceiling of the lease does the rest.
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        Stamp::from_ms(seconds.saturating_mul(1000) + nanos / 1_000_000)
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRng;

impl Rng for OsRng {
    fn next_u64(&mut self) -> u64 {
        getrandom::u64().expect("Linux gives randomness to a running process")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back() {
        let clock = SystemClock;
        let mut last = clock.boot();
        for _ in 0..1000 {
            let now = clock.boot();
            assert!(now >= last);
            last = now;
        }
    }
}
