//! Figures from what clients wrote down.

use super::report::Failback;
use base::{Epoch, Position};
use workload::{Acknowledged, Record};

/// The epoch that an answer to a write speaks of.
fn epoch(record: &Record) -> Option<Epoch> {
    let position: Position = record.position.as_deref()?.parse().ok()?;
    record.acknowledges_write().then_some(position.epoch)
}

/// The highest epoch in which a write was acknowledged.
#[must_use]
pub fn last_epoch(records: &[Record]) -> Epoch {
    records.iter().filter_map(epoch).max().unwrap_or(Epoch::ZERO)
}

/// When the first write was acknowledged in an epoch after `old`.
#[must_use]
pub fn first_write_after(records: &[Record], old: Epoch) -> Option<u64> {
    let later = |record: &&Record| epoch(record).is_some_and(|epoch| epoch > old);
    records.iter().filter(later).map(|record| record.t_ms).min()
}

/// Acknowledgement of the last write of epochs up to `old`, minus that of the oldest one lost.
#[must_use]
pub fn recovery_point_ms(records: &[Record], lost: &[Acknowledged], old: Epoch) -> u64 {
    let before = |record: &&Record| epoch(record).is_some_and(|epoch| epoch <= old);
    let last = records.iter().filter(before).map(|record| record.t_ms).max();
    let oldest = lost.iter().map(|write| &write.record).filter(before).map(|r| r.t_ms).min();
    match (last, oldest) {
        (Some(last), Some(oldest)) => last.saturating_sub(oldest),
        _ => 0,
    }
}

/// What clients noticed between two moments.
#[must_use]
pub fn noticed(records: &[Record], from_ms: u64, to_ms: u64) -> Failback {
    let mut noticed = Failback::default();
    for record in records.iter().filter(|record| record.t_ms >= from_ms && record.sent_ms <= to_ms)
    {
        noticed.pause_ms_max = noticed.pause_ms_max.max(record.t_ms - record.sent_ms);
        noticed.failed_requests += u64::from(record.status == 0 || record.status >= 500);
    }
    noticed
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Hash, Seq};

    fn write(t_ms: u64, epoch: u64, status: u16) -> Record {
        let position = Position { epoch: Epoch::new(epoch), seq: Seq::new(t_ms), hash: Hash::ZERO };
        Record {
            sent_ms: t_ms.saturating_sub(10),
            t_ms,
            client: 0,
            method: "POST".to_owned(),
            url: "/fhir/Observation".to_owned(),
            idempotency_key: Some(t_ms.to_string()),
            status,
            position: Some(position.to_string()),
            durability: None,
            id: Some("a".to_owned()),
            version: Some("1".to_owned()),
            body_sha256: None,
        }
    }

    #[test]
    fn rto_counts_from_the_first_write_of_a_later_epoch_and_rpo_from_the_oldest_lost() {
        let records =
            [write(100, 1, 201), write(200, 1, 201), write(900, 2, 503), write(950, 2, 201)];
        let old = Epoch::new(1);
        assert_eq!(last_epoch(&records[..2]), old);
        assert_eq!(first_write_after(&records, old), Some(950));
        let lost = |record: &Record| Acknowledged {
            record: record.clone(),
            id: String::new(),
            version: String::new(),
        };
        assert_eq!(recovery_point_ms(&records, &[lost(&records[0])], old), 100);
        assert_eq!(recovery_point_ms(&records, &[], old), 0);
        assert_eq!(noticed(&records, 880, 940), Failback { pause_ms_max: 10, failed_requests: 1 });
    }
}
