//! The configuration that runs, as a file would say it.

use std::io;

use vrrp_config::{hook_listing, listing};
use vrrp_control::{Answer, RunningConfig};
use vrrp_proto::Plan;

use crate::answers::Answers;
use crate::services::{STOPPED, Services};

/// Says it; with what nobody said as comments, if `defaults`.
pub(crate) async fn answer(
    services: &Services,
    answers: &mut Answers,
    defaults: bool,
) -> io::Result<()> {
    let running = services.blocking(move |services| {
        let routers = services
            .engine
            .inspect(|engine, _| engine.status().map(|router| router.plan.clone()).collect())?;
        Some(RunningConfig {
            version: vrrp_control::VERSION,
            file: services.config.display().to_string(),
            loaded: services.life.lock().loaded.clone(),
            text: listing(
                &Plan {
                    routers,
                    ..Plan::default()
                },
                defaults,
            ) + &hook_listing(&services.configuration.hooks(), defaults),
        })
    });
    match running.await.flatten() {
        Some(running) => answers.send(&Answer::RunningConfig(running)).await,
        None => answers.refuse(STOPPED).await,
    }
}
