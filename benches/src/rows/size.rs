//! What is installed, and whether it needs anything of the system.

use super::Row;
use crate::effort::Effort;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use std::path::{Path, PathBuf};
use std::process::Command;
use vrrp_lab::daemon::binary;
use vrrp_lab::scratch::Scratch;

pub(crate) const ROW: Row = Row {
    name: "size",
    about: "The release programs without symbols, `vrrpd` and `vrrpctl` together; keepalived's one program beside them. A static \
            build, if `scripts/bench` could make one: its size, and whether it says its version.",
    run,
};

fn run(_effort: &Effort) -> Vec<Measure> {
    let mut size = Measure::new("stripped", "MB").goal(Goal::most(Figure::P50, 6.0));
    let both = [binary("vrrpd"), binary("vrrpctl")];
    size.add(Maker::Ours, stripped(&both), false);
    size.add(
        Maker::Keepalived,
        stripped(&[vrrp_lab::keepalived::program()]),
        false,
    );
    let mut measures = vec![size];
    if let Some(folder) = std::env::var_os("BENCH_STATIC").map(PathBuf::from) {
        let programs = ["vrrpd", "vrrpctl"].map(|name| folder.join(name));
        if programs.iter().all(|program| program.exists()) {
            let mut linked = Measure::new("static, stripped", "MB");
            linked.add(Maker::Ours, stripped(&programs), false);
            let mut runs = Measure::new("static programs that say their version", "of 2")
                .goal(Goal::least(Figure::P50, 2.0));
            let able = programs.iter().filter(|program| says_its_version(program));
            runs.add(Maker::Ours, able.count() as f64, false);
            let kind = Command::new("ldd").arg(&programs[0]).output();
            if let Ok(output) = kind {
                let both = [output.stdout, output.stderr].concat();
                linked.note(format!("ldd: {}", String::from_utf8_lossy(&both).trim()));
            }
            measures.extend([linked, runs]);
        }
    }
    measures
}

/// The size of copies without symbols, in millions of bytes.
fn stripped(programs: &[PathBuf]) -> f64 {
    let scratch = Scratch::new("strip");
    let bytes = programs.iter().enumerate().filter_map(|(number, program)| {
        let copy = scratch.path().join(number.to_string());
        std::fs::copy(program, &copy).ok()?;
        // Where there is nothing to strip the copy stays as it is.
        let _ = Command::new("strip").arg(&copy).output();
        Some(std::fs::metadata(&copy).ok()?.len())
    });
    bytes.sum::<u64>() as f64 / 1e6
}

fn says_its_version(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}
