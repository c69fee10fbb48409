//! Requests about the configuration, and their answers.

use std::io;

use vrrp_control::{Answer, ConfigurationAnswer, ConfigurationRequest};

use crate::answers::Answers;
use crate::caller::Caller;
use crate::configuration::{Configuration, Source};
use crate::services::Services;

/// Answers one.
pub(crate) async fn answer(
    request: ConfigurationRequest,
    caller: &Caller,
    services: &Services,
    answers: &mut Answers,
) -> io::Result<()> {
    let by = caller.name().await;
    tracing::debug!(%caller, ?request, "asked about the configuration");
    let outcome = services
        .blocking(move |services| carry_out(&services.configuration, &by, request))
        .await;
    match outcome.unwrap_or_else(|| Err("this request failed; see the log".into())) {
        Ok(answer) => answers.send(&Answer::Configuration(Box::new(answer))).await,
        Err(reason) => answers.refuse(reason).await,
    }
}

fn carry_out(
    configuration: &Configuration,
    by: &str,
    request: ConfigurationRequest,
) -> Result<ConfigurationAnswer, String> {
    match request {
        ConfigurationRequest::Reload(attempt) => configuration
            .change(by, Source::File, &attempt)
            .map(ConfigurationAnswer::Change),
        ConfigurationRequest::Rollback { number, attempt } => configuration
            .change(by, Source::Earlier(number), &attempt)
            .map(ConfigurationAnswer::Change),
        ConfigurationRequest::Confirm => configuration
            .confirm(by)
            .map(ConfigurationAnswer::Confirmed),
        ConfigurationRequest::History => Ok(ConfigurationAnswer::History(configuration.history())),
        ConfigurationRequest::Show { number } => {
            configuration.show(number).map(ConfigurationAnswer::Text)
        }
    }
}
