//! Two regions' cores over simulated disks and a network that loses, doubles and reorders.

mod pair;
mod shipping;
mod stories;
