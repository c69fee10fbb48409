//! What five hundred trackers cost, of which two hundred are scripts that are run each second.

use super::Row;
use crate::duel::millis;
use crate::effort::Effort;
use crate::fleet::REAL_TIME;
use crate::maker::Maker;
use crate::measure::Measure;
use crate::sniff::{Interest, Sniff, What};
use crate::{usage, witness};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::keepalived::Keepalived;
use vrrp_lab::pair::HIGHER;
use vrrp_lab::process::Process;
use vrrp_lab::profile::{Profile, VRID};
use vrrp_lab::rival::{Orders, Rival, ours};
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::file;
use vrrp_lab::topology::Lan;

pub(crate) const ROW: Row = Row {
    name: "trackers-500",
    about: "An Active at 10 ms without trackers, and with 500: 200 scripts (a shell that ends at once, as nobody, each second), 100 \
            processes, 100 files and 100 interfaces, all of them up; keepalived without the processes, which it cannot watch in a \
            namespace. Lateness by the kernel's stamps at the switch. \
            Processor time is the scheduler's account of the daemon's processes, and of what they started and waited for.",
    run,
};

const INTERVAL: Duration = ms(10);
const SCRIPTS: usize = 200;
/// Of each of the other three kinds.
const OTHERS: usize = 100;
/// Programs that run, each of which is looked for by some trackers.
const PROGRAMS: usize = 10;

/// The figures of both looks, without and with trackers.
struct Table {
    apart: [Measure; 2],
    own: [Measure; 2],
    started: Measure,
    machine: [Measure; 2],
    rate: Measure,
    memory: [Measure; 2],
}

impl Table {
    fn new() -> Self {
        let both = |what: &str, unit: &'static str| {
            ["without", "with"].map(|how| Measure::new(format!("{what}, {how}"), unit))
        };
        let share = "% of a processor";
        Self {
            apart: both("longer than the interval apart", "ms"),
            own: both("the daemon's own processes", share),
            started: Measure::new("the scripts", share),
            machine: both("the whole machine, with the measurement", share),
            rate: Measure::new("processes started on the machine", "per second"),
            memory: both("memory of the daemon's own processes", "MiB"),
        }
    }

    fn measures(self) -> Vec<Measure> {
        let Self {
            apart,
            own,
            started,
            machine,
            rate,
            memory,
        } = self;
        let mut all: Vec<Measure> = apart.into_iter().chain(own).collect();
        all.extend([started, rate]);
        all.extend(machine.into_iter().chain(memory));
        all
    }
}

fn run(effort: &Effort) -> Vec<Measure> {
    let span = effort.span(20, 60);
    let mut table = Table::new();
    let makers = [Maker::Ours, Maker::Keepalived, Maker::KeepalivedRt];
    for maker in Maker::order(&makers, effort.rounds()) {
        for tracked in [false, true] {
            look(maker, tracked, span, &mut table);
        }
    }
    table.measures()
}

fn look(maker: Maker, tracked: bool, span: Duration, table: &mut Table) {
    let lan = Lan::new(1);
    let (router, scratch) = (&lan.routers[0], Scratch::new("trackers"));
    let _programs = prepare(&lan, &scratch);
    let port = Sniff::start(&lan.switch, "lan1", Interest::Adverts);
    let rival = start(maker, &lan, scratch.path(), tracked);
    let priority = || {
        let adverts = port.since(Stamp::now() - INTERVAL * 20, |heard| match heard.what {
            What::Advert { priority, .. } => Some(priority),
            What::Answer(_) => None,
        });
        adverts.last().copied()
    };
    // Each that is down takes one away.
    let settled = wait_for(ms(20_000), || (priority() == Some(HIGHER)).then_some(()));
    assert!(
        settled.is_some(),
        "{}: priority {:?}:\n{}",
        maker.word(),
        priority(),
        rival.log()
    );
    std::thread::sleep(ms(3000));
    let first = usage::pids(router);
    std::thread::sleep(ms(300));
    let pids: Vec<i32> = usage::pids(router)
        .into_iter()
        .filter(|pid| first.contains(pid))
        .collect();
    let spent = || {
        let [machine, _] = usage::machine();
        [usage::run_time(&pids), usage::children(&pids), machine]
    };
    let (from, before, births) = (Stamp::now(), spent(), usage::births());
    std::thread::sleep(span);
    let (until, after, more) = (Stamp::now(), spent(), usage::births());
    let stalled = witness::stalled(from, until);
    assert_eq!(
        priority(),
        Some(HIGHER),
        "{}: {}",
        maker.word(),
        rival.log()
    );
    let took = until.since(from).as_secs_f64();
    let share =
        |which: usize| after[which].saturating_sub(before[which]).as_secs_f64() / took * 100.0;
    let how = usize::from(tracked);
    table.own[how].add(maker, share(0), stalled);
    table.machine[how].add(maker, share(2), stalled);
    table.memory[how].add(maker, usage::pss_mib(&pids), stalled);
    if tracked {
        table.started.add(maker, share(1), stalled);
        table
            .rate
            .add(maker, more.saturating_sub(births) as f64 / took, stalled);
    }
    let mut adverts = port.since(from, |heard| heard.claim().map(|_| heard.at));
    adverts.retain(|at| *at <= until);
    for pair in adverts.windows(2) {
        let more = pair[1].since(pair[0]).saturating_sub(INTERVAL);
        table.apart[how].add(maker, millis(more), witness::stalled(pair[0], pair[1]));
    }
}

/// What is there to be watched.
fn prepare(lan: &Lan, scratch: &Scratch) -> Vec<Process> {
    let pair = |number: usize| {
        let other = number + 1;
        format!(
            "link add d{number} type veth peer name d{other}\nlink set d{number} up\nlink set d{other} up\n"
        )
    };
    let links: String = (0..OTHERS).step_by(2).map(pair).collect();
    lan.routers[0].ip(links.trim());
    for number in 0..OTHERS {
        scratch.write(&format!("file{number}"), "0\n");
    }
    let script = scratch.write("check", "#!/bin/sh\nexit 0\n");
    std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).expect("it is ours");
    let program = |number: usize| {
        let path = scratch.path().join(program_name(number));
        std::fs::copy("/bin/sleep", &path).expect("there is a sleep");
        Process::start(&lan.switch, &path, &["3600"], &scratch.path().join("log"))
    };
    (0..PROGRAMS).map(program).collect()
}

fn program_name(number: usize) -> String {
    format!("watched{}", number % PROGRAMS)
}

fn start(maker: Maker, lan: &Lan, folder: &Path, tracked: bool) -> Box<dyn Rival> {
    let (router, folder) = (&lan.routers[0], folder.display().to_string());
    let orders = Orders::new(Profile::V3Ipv4, HIGHER, INTERVAL);
    if maker.is_ours() {
        let mut lab = ours(orders, "rfc9568");
        let mut tables = String::new();
        if tracked {
            let mut names = Vec::new();
            for (name, body) in our_trackers(&folder) {
                let _ = write!(tables, "[tracker.{name}]\n{body}\n");
                names.push(format!("{name} = -1"));
            }
            lab = lab.set("track", format!("{{ {} }}", names.join(", ")));
        }
        return Box::new(Daemon::start(router, &(file(&[lab]) + &tables)));
    }
    let real_time = if maker == Maker::KeepalivedRt {
        REAL_TIME
    } else {
        ""
    };
    let text = keepalived(&folder, real_time, tracked);
    Box::new(Keepalived::start_file(router, text, HIGHER))
}

fn our_trackers(folder: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for number in 0..SCRIPTS {
        let body =
            format!("type = \"script\"\ncommand = [\"{folder}/check\"]\nuser = \"nobody\"\n");
        all.push((format!("script{number}"), body));
    }
    for number in 0..OTHERS {
        let program = program_name(number);
        all.push((
            format!("process{number}"),
            format!("type = \"process\"\nname = \"{program}\"\n"),
        ));
        all.push((
            format!("file{number}"),
            format!("type = \"file\"\npath = \"{folder}/file{number}\"\nweighted = true\n"),
        ));
        all.push((
            format!("interface{number}"),
            format!("type = \"interface\"\ninterface = \"d{number}\"\n"),
        ));
    }
    all
}

fn keepalived(folder: &str, real_time: &str, tracked: bool) -> String {
    let mut text = format!(
        "global_defs {{\n router_id bench\n vrrp_version 3\n enable_script_security\n script_user nobody\n {real_time}\n}}\n"
    );
    let mut lists = [const { String::new() }; 3];
    if tracked {
        for number in 0..SCRIPTS {
            let _ = write!(
                text,
                "vrrp_script s{number} {{\n script \"{folder}/check\"\n interval 1\n timeout 1\n weight -1\n}}\n"
            );
            let _ = writeln!(lists[0], "  s{number}");
        }
        for number in 0..OTHERS {
            // It hears of processes from the kernel's connector, which does not speak in namespaces: it has no trackers of them.
            let _ = write!(
                text,
                "track_file f{number} {{\n file \"{folder}/file{number}\"\n}}\n"
            );
            let _ = writeln!(lists[1], "  f{number} weight 1");
            let _ = writeln!(lists[2], "  d{number} weight -1");
        }
    }
    let _ = write!(
        text,
        "vrrp_instance lab {{\n state BACKUP\n interface eth0\n use_vmac\n virtual_router_id {VRID}\n priority {HIGHER}\n \
         advert_int {}\n accept\n virtual_ipaddress {{\n  {}\n }}\n",
        INTERVAL.as_secs_f64(),
        Profile::V3Ipv4.virtual_prefixes().join("\n  ")
    );
    let blocks = ["track_script", "track_file", "track_interface"];
    for (block, list) in blocks
        .iter()
        .zip(&lists)
        .filter(|(_, list)| !list.is_empty())
    {
        let _ = write!(text, " {block} {{\n{list} }}\n");
    }
    text + "}\n"
}
