//! How fast an account's store is, without HTTP: creates of a Synthea-shaped Observation (parsed,
//! extracted and prepared as the service does), reads, a start after a kill, a rebuild of the index.
//! `store_rate [FOLDER [RESOURCES [THREADS]]]`

#![allow(clippy::disallowed_methods, clippy::print_stdout)] // a measurement needs a clock

use base::{BootId, BootTime, Clock, Epoch, Fork, MemberId, ResourceId, Seeded, Stamp};
use crossbeam_channel::bounded;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use store::disk::RealDisk;
use store::{
    Account, AccountStore, Action, ChangeRequest, Engine, Guard, Place, Prepared, Settings, Term,
    Write,
};

/// Writes in flight for each thread.
const IN_FLIGHT: usize = 32;

struct Wall;
impl Clock for Wall {
    fn boot(&self) -> BootTime {
        BootTime::from_us(self.wall().ms() * 1000)
    }
    fn wall(&self) -> Stamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(0))
    }
}

fn observation(n: u64) -> String {
    let (day, value) = (1 + n % 28, 60 + n % 90);
    let (patient, encounter) = (n % 5000, n % 20_000);
    format!(
        r#"{{"resourceType":"Observation","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns","http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure"]}},"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"85354-9","display":"Blood Pressure"}}],"text":"Blood Pressure"}},"subject":{{"reference":"Patient/8a4c9c04-1524-9f1c-d65b-{patient:012x}"}},"encounter":{{"reference":"Encounter/9b4c9c04-1524-9f1c-d65b-{encounter:012x}"}},"effectiveDateTime":"2020-03-{day:02}T10:11:12+01:00","issued":"2020-03-{day:02}T10:11:12.345+01:00","component":[{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8462-4","display":"Diastolic Blood Pressure"}}],"text":"Diastolic Blood Pressure"}},"valueQuantity":{{"value":{value},"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}},{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8480-6","display":"Systolic Blood Pressure"}}],"text":"Systolic Blood Pressure"}},"valueQuantity":{{"value":{},"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}]}}"#,
        value + 40
    )
}

fn create(n: u64, rng: &mut Seeded) -> ChangeRequest {
    let text = observation(n);
    let resource = fhir::Resource::parse(text.as_bytes(), 64).expect("a resource");
    resource.validate().expect("valid");
    let id = ResourceId::mint(Wall.wall(), rng);
    let extracted = search::extract(&resource);
    let prepared = Prepared {
        template: resource.template(&id),
        terms: extracted.terms(),
        extracted: Arc::new(extracted),
    };
    let guard = Guard { if_match: None, must_be_absent: true };
    ChangeRequest { type_id: resource.type_id(), id, action: Action::Put(prepared), guard }
}

/// Processor time of this process so far, in seconds: what counts on a busy machine.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn open(folder: &Path) -> Result<Account, store::Error> {
    let place = Place {
        disk: Arc::new(RealDisk::new(folder).expect("a folder")),
        log_dir: "log".to_owned(),
        engine: Engine::Embedded(folder.join("index")),
    };
    let last = std::sync::atomic::AtomicU64::new(0);
    let told = |done: u64, of: u64| {
        if done / 100_000 > last.swap(done, std::sync::atomic::Ordering::Relaxed) / 100_000 {
            println!("  replayed {done} of {of}");
        }
    };
    let failed = |error| panic!("the log failed: {error}");
    Account::open(place, Settings::default(), Arc::new(Wall), &told, Box::new(failed))
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or_else(|| "store-rate".to_owned());
    let resources: u64 = args.next().map_or(Ok(100_000), |text| text.parse())?;
    let threads: u64 = args.next().map_or(Ok(2), |text| text.parse())?;
    let folder = Path::new(&folder);
    let account = Arc::new(open(folder)?);
    account.core().set_term(Term {
        epoch: Epoch::new(1),
        fork: Fork::ZERO,
        origin: (MemberId::new(1), BootId::new(1)),
        stamp_floor: Stamp::ZERO,
        stamp_ceiling: Stamp::MAX,
    })?;
    prepare();
    let ids = creates(&account, resources, threads)?;
    reads(&account, &ids)?;
    searches(&account)?;
    // As after a kill: the index is as its last flush left it.
    std::mem::forget(account);
    starts(folder, resources)
}

fn prepare() {
    let sample = create(1, &mut Seeded(1));
    if let Action::Put(prepared) = &sample.action {
        let (terms, bytes) = (prepared.terms.len(), prepared.terms.total_bytes());
        println!("{} bytes, {terms} terms of {bytes} bytes", prepared.template.len());
    }
    let mut dice = Seeded(5);
    let busy = cpu();
    for n in 0..20_000 {
        std::hint::black_box(create(n, &mut dice));
    }
    println!("prepare: {:.1} us of processor each", (cpu() - busy) * 50.0);
}

type Ids = Vec<(fhir::TypeId, ResourceId)>;

/// Creates from some threads, each with some in flight; gives some of their ids.
fn creates(account: &Arc<Account>, resources: u64, threads: u64) -> Result<Ids, Failure> {
    let (begun, busy) = (Instant::now(), cpu());
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let account = Arc::clone(account);
            let work = move || submit(&account, worker, resources / threads, threads);
            std::thread::Builder::new().name("submit".to_owned()).spawn(work)
        })
        .collect::<Result<_, _>>()?;
    let mut ids = Vec::new();
    for worker in workers {
        ids.extend(worker.join().map_err(|_| "a worker panicked")?);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let status = account.status();
    let behind = status.durable.seq.get() - status.applied.seq.get();
    println!("create: {:.0}/s, behind {behind} at the end", resources as f64 / elapsed);
    while account.status().applied != account.status().durable {
        std::thread::yield_now();
    }
    let applied = begun.elapsed().as_secs_f64();
    let each = (cpu() - busy) * 1e6 / resources as f64;
    println!("applied: {:.0}/s, {each:.1} us of processor each", resources as f64 / applied);
    Ok(ids)
}

fn submit(account: &Account, worker: u64, count: u64, threads: u64) -> Ids {
    let mut rng = Seeded(worker + 7);
    let (tell, told) = bounded(IN_FLIGHT);
    let (mut ids, mut open) = (Vec::new(), 0);
    for n in 0..count {
        if open == IN_FLIGHT {
            let _ = told.recv();
            open -= 1;
        }
        let change = create(n * threads + worker, &mut rng);
        if n % 50 == 0 {
            ids.push((change.type_id, change.id.clone()));
        }
        let tell = tell.clone();
        let write = Write { changes: vec![change], ..Write::default() };
        let done = move |answer: Result<_, _>| tell.send(answer.is_ok()).unwrap_or_default();
        account.submit(write, Box::new(done));
        open += 1;
    }
    while open > 0 {
        let _ = told.recv();
        open -= 1;
    }
    ids
}

fn reads(account: &Account, ids: &Ids) -> Result<(), Failure> {
    let (begun, busy) = (Instant::now(), cpu());
    let mut read = 0;
    while begun.elapsed().as_secs() < 2 {
        for (type_id, id) in ids {
            std::hint::black_box(account.read(*type_id, id)?);
            read += 1;
        }
    }
    println!("read: {:.2} us of processor each", (cpu() - busy) * 1e6 / f64::from(read));
    Ok(())
}

fn searches(account: &Account) -> Result<(), Failure> {
    for raw in [
        "patient=8a4c9c04-1524-9f1c-d65b-00000000002a",
        "code=85354-9&_count=50",
        "code=85354-9&_count=50&_sort=-_lastUpdated",
        "code=85354-9&date=2020-03-05&_count=50&_sort=-_lastUpdated",
        "_count=50",
    ] {
        let (of, limits) = (fhir::TypeId::from_name("Observation"), base::Limits::default());
        let strict = search::Handling::Strict;
        let query = search::parse_query(of, raw, strict, &limits, "http://x/fhir")
            .map_err(|issues| format!("{issues:?}"))?;
        let begun = Instant::now();
        let page = account.search(&query, None)?;
        let (entries, elapsed) = (page.entries.len(), begun.elapsed());
        println!("search {raw}: {entries} entries of {:?}, {elapsed:?}", page.total);
    }
    Ok(())
}

fn starts(folder: &Path, resources: u64) -> Result<(), Failure> {
    let copy = folder.with_extension("copy");
    drop(std::fs::remove_dir_all(&copy));
    std::process::Command::new("cp").arg("-r").arg(folder).arg(&copy).status()?;
    let (begun, busy) = (Instant::now(), cpu());
    let again = open(&copy)?;
    let processor = cpu() - busy;
    println!("open after a kill: {:?}, {processor:.2} s of processor", begun.elapsed());
    drop(again);
    std::fs::remove_dir_all(copy.join("index"))?;
    let (begun, busy) = (Instant::now(), cpu());
    let again = open(&copy)?;
    let each = (cpu() - busy) * 1e6 / resources as f64;
    let rate = again.status().resources as f64 / begun.elapsed().as_secs_f64();
    println!("rebuild: {rate:.0}/s, {each:.1} us of processor each");
    drop(again);
    let size = std::process::Command::new("du").arg("-sh").arg(copy.join("index")).output()?;
    println!("disk: {}", String::from_utf8_lossy(&size.stdout));
    std::fs::remove_dir_all(copy)?;
    Ok(())
}
