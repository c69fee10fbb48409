//! Scripts from random bytes.

use core::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use vrrp_sim::reference::script::{EVENT_BYTES, ROUTER_BYTES};

/// Has so many played, the same ones every time: new ones are the fuzzer's business. What plays one says how many events
/// it had; all together are returned.
pub(crate) fn play(cases: u32, play: impl Fn(&[u8]) -> (usize, Result<(), String>)) -> usize {
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, random);
    let bytes = (
        any::<[u8; ROUTER_BYTES]>(),
        vec(any::<[u8; EVENT_BYTES]>(), 0..100),
    )
        .prop_map(|(router, events)| [router.as_slice(), events.as_flattened()].concat());
    let events = Cell::new(0_usize);
    let outcome = runner.run(&bytes, |bytes| {
        let (length, outcome) = play(&bytes);
        events.set(events.get() + length);
        outcome.map_err(TestCaseError::fail)
    });
    outcome.unwrap_or_else(|difference| match difference {
        TestError::Fail(reason, _) => panic!("{reason}"),
        TestError::Abort(reason) => panic!("{reason}"),
    });
    let events = events.get();
    assert!(events > 100_000);
    events
}
