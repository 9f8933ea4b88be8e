//! How many commits a second the bare log takes: 64 submitters, groups of up to 100, one
//! `fdatasync` for each group. `log_rate [FOLDER [SECONDS [PAYLOAD_BYTES]]]`

#![allow(clippy::disallowed_methods, clippy::print_stdout)] // a measurement needs a clock

use base::Epoch;
use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store::disk::RealDisk;
use store::log::{Entry, Log, Payload, Settings};

const SUBMITTERS: usize = 64;
const GROUP_MAX: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or_else(|| "log-rate".to_owned());
    let seconds = args.next().map_or(Ok(5), |text| text.parse())?;
    let payload_bytes = args.next().map_or(Ok(1000), |text| text.parse())?;
    let disk = Arc::new(RealDisk::new(folder.as_ref())?);
    let mut log = Log::create(disk, "log", Settings::default())?;
    let preparer = log.preparer();
    let stop = Arc::new(AtomicBool::new(false));
    let (wake, woken) = bounded::<()>(1);
    let preparing = std::thread::Builder::new().name("prepare".to_owned()).spawn(move || {
        while woken.recv().is_ok() {
            while !preparer.step().expect("the disk takes a segment") {}
        }
    })?;
    let (submit, submitted) = bounded::<(Payload, Sender<()>)>(SUBMITTERS * 4);
    let mut submitters = Vec::new();
    for n in 0..SUBMITTERS {
        let (submit, stop) = (submit.clone(), Arc::clone(&stop));
        let body = move || {
            let mut data = vec![0u8; payload_bytes];
            // Two in flight for each, so that one thread can fill a group beside the sync.
            let mut waiting: Option<crossbeam_channel::Receiver<()>> = None;
            let mut count = 0u64;
            while !stop.load(Ordering::Relaxed) {
                data[..8].copy_from_slice(&(count << 8 | n as u64).to_le_bytes());
                let (done, ready) = bounded(1);
                if submit.send((Payload::new(Bytes::copy_from_slice(&data)), done)).is_err() {
                    return;
                }
                if let Some(before) = waiting.replace(ready) {
                    let _ = before.recv();
                }
                count += 1;
            }
        };
        submitters.push(std::thread::Builder::new().name(format!("submit-{n}")).spawn(body)?);
    }
    drop(submit);
    let begun = Instant::now();
    let (mut commits, mut groups, mut longest) = (0usize, 0usize, Duration::ZERO);
    while let Ok(first) = submitted.recv() {
        let mut batch = vec![first];
        batch.extend(submitted.try_iter().take(GROUP_MAX - 1));
        let (payloads, dones): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let entry = |payload| Entry { epoch: Epoch::new(1), secondary: None, payload };
        let at = Instant::now();
        log.append(payloads.into_iter().map(entry).collect())?;
        log.sync()?;
        longest = longest.max(at.elapsed());
        let _ = wake.try_send(());
        commits += dones.len();
        groups += 1;
        dones.iter().for_each(|done| {
            let _ = done.send(());
        });
        if begun.elapsed() > Duration::from_secs(seconds) {
            stop.store(true, Ordering::Relaxed);
        }
    }
    let rate = commits as f64 / begun.elapsed().as_secs_f64();
    let mean = commits as f64 / groups as f64;
    println!("{rate:.0} commits/s, {mean:.1} a group, longest group {longest:?}");
    drop(wake);
    for thread in submitters.into_iter().chain([preparing]) {
        thread.join().map_err(|_| "a thread panicked")?;
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
