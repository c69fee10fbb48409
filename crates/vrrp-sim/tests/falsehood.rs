//! Nobody takes over from a living Active unless three advertisements in a row were really lost.

use core::time::Duration;

use vrrp_sim::Chance;
use vrrp_sim::falsehood::Setting;

#[test]
fn a_takeover_from_a_living_active_needs_three_losses_in_a_row() {
    let setting = Setting {
        loss: Chance::percent(10),
        time: Duration::from_secs(600),
        ..Setting::USUAL
    };
    let count = setting
        .run_all(40)
        .unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!((count.seeds, count.unfounded()), (40, 0));
    // And after three there is one: 216 of 240,000 advertisements.
    let expected = setting.expected(count.sent);
    assert!((200.0..230.0).contains(&expected), "{expected}");
    assert!((160..270).contains(&count.total()), "{count:?}");
}

#[test]
fn without_loss_there_is_none() {
    let setting = Setting {
        loss: Chance::NEVER,
        ..Setting::USUAL
    };
    let count = setting
        .run_all(2)
        .unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(count.total(), 0);
    assert!(count.sent > 71_000, "{count:?}");
}
