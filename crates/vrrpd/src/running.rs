//! The configuration that runs, as a file would say it.

use std::io;

use vrrp_config::{hook_listing, listing};
use vrrp_control::{Answer, RunningConfig};
use vrrp_proto::{Engine, Plan};

use crate::answers::Answers;
use crate::services::{STOPPED, Services};

/// Says it; with what nobody said as comments, if `defaults`.
pub(crate) async fn answer(
    services: &Services,
    answers: &mut Answers,
    defaults: bool,
) -> io::Result<()> {
    let running = services.blocking(move |services| {
        let plan = services.engine.inspect(|engine, _| plan(engine))?;
        Some(RunningConfig {
            version: vrrp_control::VERSION,
            file: services.config.display().to_string(),
            loaded: services.life.lock().loaded.clone(),
            text: listing(&plan, defaults)
                + &hook_listing(&services.configuration.hooks(), defaults),
        })
    });
    match running.await.flatten() {
        Some(running) => answers.send(&Answer::RunningConfig(running)).await,
        None => answers.refuse(STOPPED).await,
    }
}

/// What the engine runs.
pub(crate) fn plan(engine: &Engine) -> Plan {
    Plan {
        routers: engine.status().map(|it| it.plan.clone()).collect(),
        trackers: engine
            .trackers()
            .iter()
            .map(|it| it.plan().clone())
            .collect(),
    }
}
