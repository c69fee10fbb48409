//! `[control]`.

use vrrp_config::{Control, parse};

const ROUTER: &str = r#"
[virtual-router.lan4]
interface = "eth0"
vrid = 51
addresses = ["192.0.2.254/24"]
"#;

#[test]
fn groups_are_read() {
    let text =
        format!("[control]\ngroup = \"netadmin\"\nread-only-group = \"monitoring\"\n{ROUTER}");
    let control = Control {
        group: Some("netadmin".into()),
        read_only_group: Some("monitoring".into()),
    };
    assert_eq!(parse(&text).unwrap().control, control);
}

#[test]
fn no_group_is_named_by_default() {
    assert_eq!(parse(ROUTER).unwrap().control, Control::default());
    let empty = format!("[control]\n{ROUTER}");
    assert_eq!(parse(&empty).unwrap().control, Control::default());
}

#[test]
fn a_file_with_nothing_else_configures_no_virtual_router() {
    let findings = parse("[control]\ngroup = \"netadmin\"\n").unwrap_err();
    assert_eq!(findings[0].code, vrrp_config::code::NO_ROUTER);
}
