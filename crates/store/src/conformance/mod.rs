//! What every engine of [`AccountStore`] must do, as functions that panic where one does not.
//!
//! Each takes a maker of fresh, empty stores with a term set. For tests only.

mod bench;
mod reading;
mod searching;
mod writing;

pub use bench::Bench;

use crate::AccountStore;

/// Makes fresh stores.
pub type Fresh<'a> = &'a dyn Fn() -> Box<dyn AccountStore>;

/// Runs all of them.
pub fn all(fresh: Fresh<'_>) {
    writing::versions_count_from_one_and_go_on_after_a_deletion(fresh);
    writing::guards_hold_against_work_in_flight(fresh);
    writing::a_write_is_all_or_nothing(fresh);
    writing::a_repeated_request_gets_its_first_answer(fresh);
    writing::a_condition_is_looked_at_again(fresh);
    writing::a_deletion_of_nothing_is_no_change(fresh);
    writing::concurrent_creates_of_one_id_have_one_winner(fresh);
    reading::the_bytes_are_those_that_were_written(fresh);
    reading::history_is_paged_newest_first(fresh);
    reading::old_versions_stay(fresh);
    searching::a_search_finds_what_was_acknowledged(fresh);
    searching::pages_hold_each_resource_once(fresh);
    searching::pages_end_before_their_bytes(fresh);
    searching::updates_and_deletions_move_results(fresh);
    searching::totals_are_exact(fresh);
}
