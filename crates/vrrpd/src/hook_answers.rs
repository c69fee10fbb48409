//! Requests about hooks.

use std::io;
use std::time::SystemTime;

use vrrp_config::HOOK_EVENTS;
use vrrp_control::agent::{HookEvent, Standing, SubjectKind};
use vrrp_control::{Answer, HookRequest};

use crate::answers::Answers;
use crate::caller::Caller;
use crate::office::timestamp;
use crate::services::Services;

/// Answers one.
pub(crate) async fn answer(
    request: HookRequest,
    caller: &Caller,
    services: &Services,
    answers: &mut Answers,
) -> io::Result<()> {
    let (name, event, router, dry_run) = match request {
        HookRequest::List => {
            let report = services.agent.report();
            return answers.send(&Answer::Hooks(Box::new(report))).await;
        }
        HookRequest::Run {
            name,
            event,
            router,
            dry_run,
        } => (name, event, router, dry_run),
    };
    if !HOOK_EVENTS.contains(&event.as_str()) {
        let known = HOOK_EVENTS.join(", ");
        let reason = format!("there is no event {event}; there is {known}");
        return answers.refuse(reason).await;
    }
    let subject = match &router {
        None if event == "start" => SubjectKind::Daemon,
        None => SubjectKind::Router,
        Some(router) => match services.agent.subject(router) {
            Ok(subject) => subject,
            Err(known) => {
                let router = router.clone();
                return answers.send(&Answer::NoSuchRouter { router, known }).await;
            }
        },
    };
    if !dry_run {
        let whose = caller.name().await;
        let sentence = format!("{whose} ran hook {name} as if for {event}");
        services.note_change(caller, router.as_deref(), sentence);
    }
    let state = Standing::of(&event);
    let event = HookEvent {
        id: services.office.last(),
        time: timestamp(SystemTime::now()),
        subject,
        name: router.unwrap_or_default(),
        state,
        reason: Some("tried".into()),
        priority: Some(100),
        text: "somebody tries the hook".into(),
        event,
        ..HookEvent::default()
    };
    match services.agent.try_out(&name, event, dry_run).await {
        Ok(trial) => answers.send(&Answer::HookTrial(Box::new(trial))).await,
        Err(reason) => answers.refuse(reason).await,
    }
}
