//! The engine does what the model of the RFCs does, whatever happens to both.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use vrrp_sim::reference::Script;
use vrrp_sim::reference::script::{EVENT_BYTES, ROUTER_BYTES};

#[test]
fn engine_and_model_are_the_same() {
    let cases = if cfg!(debug_assertions) {
        5_000
    } else {
        100_000
    };
    // The same cases every time: new ones are the fuzzer's business.
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
    let counted = core::cell::Cell::new(0_usize);
    runner
        .run(&bytes, |bytes| {
            let script = Script::from_bytes(&bytes);
            counted.set(counted.get() + script.len());
            script.play().map_err(TestCaseError::fail)
        })
        .unwrap_or_else(|difference| match difference {
            TestError::Fail(reason, _) => panic!("{reason}"),
            TestError::Abort(reason) => panic!("{reason}"),
        });
    let events = counted.get();
    println!("{events} events");
    assert!(events > 100_000);
}
