//! The engine does what the model of the RFCs does, whatever happens to both.

mod scripts;

use vrrp_sim::reference::Script;

#[test]
fn engine_and_model_are_the_same() {
    let cases = if cfg!(debug_assertions) {
        5_000
    } else {
        100_000
    };
    let events = scripts::play(cases, |bytes| {
        let script = Script::from_bytes(bytes);
        (script.len(), script.play())
    });
    println!("{events} events");
}
