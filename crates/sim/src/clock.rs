//! A machine's two clocks as its processes see them: a boot-time clock with a rate error and a
//! wall clock that jumps.

use crate::Moment;
use base::{BootTime, Clock, Stamp};
use std::sync::atomic::{AtomicU64, Ordering};

/// A rate that is exact.
pub const EXACT_PPM: u64 = 1_000_000;
/// The largest error of rate that the protocol allows for (ε = 1 %), less what rounding takes.
pub const DRIFT_PPM: u64 = 9_900;
/// 2026-11-21T00:00:00Z, when every run begins.
const WALL_START_MS: u64 = 1_795_219_200_000;

/// The clocks of one machine.
#[derive(Debug)]
pub struct MachineClock {
    since: Moment,
    boot_us: u64,
    rate_ppm: u64,
    wall_offset_ms: i64,
}

impl MachineClock {
    /// A machine that was booted `boot_us` before the run began.
    #[must_use]
    pub const fn new(boot_us: u64) -> Self {
        Self { since: Moment::START, boot_us, rate_ppm: EXACT_PPM, wall_offset_ms: 0 }
    }
    /// What the boot-time clock shows.
    #[must_use]
    pub const fn boot(&self, now: Moment) -> BootTime {
        let passed = now.since(self.since).us() as u128 * self.rate_ppm as u128 / 1_000_000;
        BootTime::from_us(self.boot_us + passed as u64)
    }
    /// What the wall clock shows.
    #[must_use]
    pub fn wall(&self, now: Moment) -> Stamp {
        let exact = WALL_START_MS + now.us() / 1000;
        Stamp::from_ms(exact.saturating_add_signed(self.wall_offset_ms))
    }
    /// The first moment at which the boot-time clock shows `boot` or more.
    #[must_use]
    pub const fn when(&self, boot: BootTime) -> Moment {
        let left = boot.us().saturating_sub(self.boot_us) as u128 * 1_000_000;
        Moment::from_us(self.since.us() + left.div_ceil(self.rate_ppm as u128) as u64)
    }
    /// Runs at another rate from now on.
    pub fn set_rate(&mut self, now: Moment, rate_ppm: u64) {
        *self = Self {
            since: now,
            boot_us: self.boot(now).us(),
            rate_ppm,
            wall_offset_ms: self.wall_offset_ms,
        };
    }
    /// The wall clock jumps, either way.
    pub const fn jump_wall(&mut self, ms: i64) {
        self.wall_offset_ms += ms;
    }
    /// The machine boots anew: its boot-time clock begins again.
    pub const fn reboot(&mut self, now: Moment, boot_us: u64) {
        self.since = now;
        self.boot_us = boot_us;
    }
}

/// The clock as code under test reads it; the world sets it before each step.
#[derive(Debug, Default)]
pub struct SiteClock {
    boot_us: AtomicU64,
    wall_ms: AtomicU64,
}

impl SiteClock {
    /// Shows what the machine's clocks show now.
    pub fn show(&self, clock: &MachineClock, now: Moment) {
        self.boot_us.store(clock.boot(now).us(), Ordering::Relaxed);
        self.wall_ms.store(clock.wall(now).ms(), Ordering::Relaxed);
    }
}

impl Clock for SiteClock {
    fn boot(&self) -> BootTime {
        BootTime::from_us(self.boot_us.load(Ordering::Relaxed))
    }
    fn wall(&self) -> Stamp {
        Stamp::from_ms(self.wall_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Span;

    #[test]
    fn a_drifting_clock_never_goes_back_and_tells_when_it_will_show_a_time() {
        let mut clock = MachineClock::new(5_000_000);
        let mut last = clock.boot(Moment::START);
        for second in 1..100u64 {
            let now = Moment::from_secs(second);
            let rate = EXACT_PPM - DRIFT_PPM + (second % 2) * 2 * DRIFT_PPM;
            clock.set_rate(now, rate);
            assert!(clock.boot(now) >= last);
            last = clock.boot(now);
            let later = last + Span::from_ms(777);
            let when = clock.when(later);
            assert!(clock.boot(when) >= later);
            assert!(clock.boot(Moment::from_us(when.us() - 2)) < later);
        }
    }
}
