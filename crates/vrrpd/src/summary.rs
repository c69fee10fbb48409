//! How things stand, in a few words for whoever watches the service.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use vrrp_proto::Role;

use crate::services::Services;
use crate::word::ToKeeper;

/// Changes come in bursts, and are told once.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells the keeper, which tells the service manager, whenever it has changed.
pub(crate) async fn tell(services: Services) {
    let (_, mut events) = services.office.subscribe();
    let mut told = String::new();
    loop {
        if let Some(Some(text)) = services.blocking(|services| standing(&services)).await
            && text != told
        {
            ToKeeper::Standing { text: text.clone() }.say(&services.store);
            told = text;
        }
        match events.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
        tokio::time::sleep(PAUSE).await;
        while !events.is_empty() {
            // What was missed is in the sum.
            let _ = events.try_recv();
        }
    }
}

fn standing(services: &Services) -> Option<String> {
    services.engine.inspect(|engine, _| {
        let mut roles: BTreeMap<&str, usize> = BTreeMap::new();
        let mut faults = 0;
        for router in engine.status() {
            let role = match router.role {
                Role::Active => "Active",
                Role::Backup => "Backup",
                Role::Initialize => "Initialize",
            };
            *roles.entry(role).or_default() += 1;
            faults += usize::from(!router.faults.is_empty());
        }
        words(&roles, faults)
    })
}

fn words(roles: &BTreeMap<&str, usize>, faults: usize) -> String {
    let mut parts: Vec<String> = roles
        .iter()
        .map(|(role, count)| format!("{count} {role}"))
        .collect();
    if parts.is_empty() {
        parts.push("no virtual routers".into());
    }
    match faults {
        0 => {}
        1 => parts.push("1 with a fault".into()),
        faults => parts.push(format!("{faults} with faults")),
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_words() {
        let roles = BTreeMap::from([("Backup", 1), ("Active", 4)]);
        assert_eq!(words(&roles, 0), "4 Active, 1 Backup");
        assert_eq!(words(&roles, 1), "4 Active, 1 Backup, 1 with a fault");
        assert_eq!(words(&BTreeMap::new(), 0), "no virtual routers");
    }
}
