//! Whose router.

use serde::{Deserialize, Serialize};
use std::process::Command;
use std::sync::OnceLock;
use vrrp_lab::daemon::{binary, check};
use vrrp_lab::keepalived;

/// Who made a router, and how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// `vrrpd` with macvlans.
    Ours,
    /// `vrrpd` with its eBPF data plane.
    OursEbpf,
    /// keepalived with `use_vmac`, as Debian sets it up.
    Keepalived,
    /// The same with real-time priority, which is not its default.
    KeepalivedRt,
    /// keepalived without virtual MAC addresses.
    KeepalivedPlain,
    /// FRR.
    Frr,
    /// No router: the crate `pnet_packet`.
    Pnet,
}

impl Maker {
    /// Its word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursEbpf => "ours, `ebpf`",
            Self::Keepalived => "keepalived",
            Self::KeepalivedRt => "keepalived, real-time",
            Self::KeepalivedPlain => "keepalived without virtual MAC",
            Self::Frr => "FRR",
            Self::Pnet => "`pnet_packet`",
        }
    }

    /// Whether it is `vrrpd`.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursEbpf)
    }

    /// The data planes that the built `vrrpd` knows.
    #[must_use]
    pub fn planes() -> Vec<Self> {
        static EBPF: OnceLock<bool> = OnceLock::new();
        let ebpf = *EBPF.get_or_init(|| {
            let asked = "[virtual-router.a]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"192.0.2.1/24\"]\ndata-plane = \"ebpf\"\n";
            std::env::var_os("BENCH_MACVLAN_ONLY").is_none() && check(asked).status.success()
        });
        if ebpf {
            vec![Self::Ours, Self::OursEbpf]
        } else {
            vec![Self::Ours]
        }
    }

    /// Ours and keepalived, interleaved: A, B, B, A; a third and a fourth fall in line.
    #[must_use]
    pub fn order(makers: &[Self], rounds: usize) -> Vec<Self> {
        (0..rounds)
            .flat_map(|round| {
                let mut turn = makers.to_vec();
                if round % 2 == 1 {
                    turn.reverse();
                }
                turn
            })
            .collect()
    }

    /// Our planes, and these others.
    #[must_use]
    pub fn ours_and(others: &[Self]) -> Vec<Self> {
        let mut makers = Self::planes();
        makers.extend(others);
        makers
    }
}

/// The versions of everything that is compared.
#[must_use]
pub(crate) fn versions() -> String {
    let said = |command: &mut Command| -> String {
        let output = command.output();
        let text = output.map_or_else(
            |_| "not there".into(),
            |output| {
                let both = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&both).into_owned()
            },
        );
        text.lines().next().unwrap_or_default().to_owned()
    };
    format!(
        "{}; {}; FRR {}",
        said(Command::new(binary("vrrpd")).arg("--version")),
        said(Command::new(keepalived::program()).arg("--version")),
        said(Command::new("/usr/lib/frr/vrrpd").arg("--version"))
            .trim_start_matches("vrrpd version "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_alternate() {
        let pair = [Maker::Ours, Maker::Keepalived];
        assert_eq!(
            Maker::order(&pair, 2),
            [
                Maker::Ours,
                Maker::Keepalived,
                Maker::Keepalived,
                Maker::Ours
            ]
        );
    }
}
