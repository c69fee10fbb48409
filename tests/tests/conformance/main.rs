//! The conformance statements R1–R68: a black box judged over raw sockets, one cable at a time.
//!
//! Each statement is a function named after it, run for every profile it concerns; the documentation of the function
//! says which sentence of which RFC it stands on. The device under test is our daemon, priority 100, one second,
//! preemption on, accept-mode off, unless the statement says otherwise.
//!
//! They mostly wait, so run many at once: `cargo test -p vrrp-lab --test conformance -- --test-threads=16`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// Runs a statement's function once per profile, as a test of its own.
macro_rules! statement {
    ($name:ident: $($profile:ident)+) => {
        mod $name {
            $(
                #[test]
                fn $profile() {
                    super::$name(vrrp_lab::profile::Profile::named(stringify!($profile)));
                }
            )+
        }
    };
}

mod a_frames_sent;
mod b_start_and_takeover;
mod c_backup;
mod d_active;
mod e_receive_validation;
mod f_towards_hosts;

/// Statements without a test here, and why.
const ELSEWHERE: [(&str, &str); 2] = [
    (
        "R58",
        "a flood disturbs its neighbours: tests/robustness.rs, where tests run one after another",
    ),
    (
        "R66",
        "not applicable: the daemon sends no router advertisements; that is radvd's work until it does",
    ),
];

#[test]
fn statements_judged_elsewhere_or_not_at_all() {
    for (statement, reason) in ELSEWHERE {
        println!("{statement}: {reason}");
    }
}
