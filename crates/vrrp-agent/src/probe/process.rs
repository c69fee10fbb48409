//! Whether a program runs, and often enough. All trackers share one look at the processes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vrrp_proto::tracker::ProcessPattern;

use super::{Bad, Found, Once};

/// A look is good for this long.
const FRESH: Duration = Duration::from_millis(200);

/// Longest command line that is looked at, in bytes.
const COMMAND: usize = 4096;

/// The name and the command line of each process.
pub(crate) type Table = Arc<Vec<(String, String)>>;

/// Counts the processes that match.
pub(crate) async fn look(pattern: &ProcessPattern, count: u32, all: &mut Once<Table>) -> Found {
    let by_command = matches!(pattern, ProcessPattern::Command(_));
    // The command line of a process that hangs in the kernel may be waited for.
    let table = all.run(move || table(by_command)).await;
    let table = table.map_err(|error| Bad::unable(error.to_string()))?;
    let (matching, what) = match pattern {
        ProcessPattern::Name(name) => {
            // The kernel keeps fifteen bytes.
            let name: String = name.chars().take(15).collect();
            (count_of(&table, |it| it.0 == name), name)
        }
        ProcessPattern::Command(text) => (count_of(&table, |it| it.1.contains(text)), text.clone()),
    };
    let said = match matching {
        0 => format!("no process {what}"),
        1 => format!("1 process {what}"),
        many => format!("{many} processes {what}"),
    };
    if matching >= count as usize {
        Ok(said)
    } else if matching == 0 {
        Err(said.into())
    } else {
        Err(format!("{said}, of {count} that there must be").into())
    }
}

fn count_of(table: &Table, matches: impl Fn(&(String, String)) -> bool) -> usize {
    table.iter().filter(|it| matches(it)).count()
}

fn table(with_commands: bool) -> Table {
    static LAST: [Mutex<Option<(Instant, Table)>>; 2] = [Mutex::new(None), Mutex::new(None)];
    let mut last = LAST[usize::from(with_commands)]
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some((at, table)) = &*last
        && at.elapsed() < FRESH
    {
        return Arc::clone(table);
    }
    let table = Arc::new(processes(with_commands));
    *last = Some((Instant::now(), Arc::clone(&table)));
    table
}

fn processes(with_commands: bool) -> Vec<(String, String)> {
    let ours = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().into_string().ok()?;
        if !pid.starts_with(|c: char| c.is_ascii_digit()) || pid == ours {
            return None;
        }
        let path = entry.path();
        // One that has ended and nobody has asked about is none.
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(") ")?;
        if rest.starts_with(['Z', 'X']) {
            return None;
        }
        let name = head.split_once('(')?.1.to_owned();
        let command = if with_commands {
            let mut bytes = std::fs::read(path.join("cmdline")).unwrap_or_default();
            bytes.truncate(COMMAND);
            let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
            text.trim_end().to_owned()
        } else {
            String::new()
        };
        Some((name, command))
    };
    all.filter_map(process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn what_runs_is_found() {
        let mut child = std::process::Command::new("sleep")
            .arg("31.5")
            .spawn()
            .unwrap();
        let pattern = ProcessPattern::Command("sleep 31.5".into());
        // A program that has just begun has no command line for a moment, and a look without it is kept.
        let until = Instant::now() + Duration::from_secs(10);
        while let Err(why) = look(&pattern, 1, &mut Once::default()).await {
            assert!(Instant::now() < until, "{why:?}");
            tokio::time::sleep(FRESH).await;
        }
        let why = look(&pattern, 99, &mut Once::default()).await.unwrap_err();
        assert!(why.why.contains("of 99 that there must be"), "{why:?}");
        child.kill().unwrap();
        // Nobody has asked about it yet, and it counts no more.
        tokio::time::sleep(FRESH + Duration::from_millis(100)).await;
        assert_eq!(
            look(&pattern, 1, &mut Once::default()).await,
            Err("no process sleep 31.5".to_owned().into())
        );
        child.wait().unwrap();
        let none = ProcessPattern::Name("no-such-programs".into());
        assert_eq!(
            look(&none, 1, &mut Once::default()).await,
            Err("no process no-such-program".to_owned().into())
        );
    }
}
