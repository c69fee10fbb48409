//! A BFD session in sentences.

use vrrp_control::BfdReport;

use crate::moment::span;

/// What is to be known of a session, from the most to the least important.
pub(crate) fn lines(session: &BfdReport) -> Vec<String> {
    let BfdReport {
        dest_addr,
        interface,
        local_state,
        remote_state,
        ..
    } = session;
    let because = |word: &str| match word {
        "none" => String::new(),
        word => format!(" ({word})"),
    };
    let mut lines: Vec<String> = session.failure.iter().cloned().collect();
    lines.push(format!(
        "BFD with {dest_addr} on {interface}: {local_state}{}, the peer {}",
        because(&session.local_diagnostic),
        match session.remote_discriminator {
            Some(_) => format!("says {remote_state}{}", because(&session.remote_diagnostic)),
            None => "is not heard".to_owned(),
        }
    ));
    let remote = session.remote_discriminator;
    lines.push(format!(
        "discriminators {} and {}",
        session.local_discriminator,
        remote.map_or_else(|| "none".to_owned(), |number| number.to_string())
    ));
    let sends = match session.negotiated_tx_interval_us {
        Some(interval) => format!("sends every {}", span(interval)),
        None => "sends nothing, as the peer wants it".to_owned(),
    };
    lines.push(match session.detection_time_us {
        0 => sends,
        time => format!("{sends}; the peer is lost after {} of silence", span(time)),
    });
    lines.push(format!(
        "{} packets sent, {} received, {} refused; lost {} times",
        session.send_packet_count,
        session.receive_packet_count,
        session.receive_invalid_packet_count,
        session.session_down_count
    ));
    let refused = session.receive_invalid_reason.iter();
    lines.extend(refused.map(|why| format!("refused last because {why}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> BfdReport {
        BfdReport {
            dest_addr: "192.0.2.2".into(),
            interface: "eth0".into(),
            source_port: Some(50_000),
            local_state: "up".into(),
            since: "2026-11-20T12:02:11.204000Z".into(),
            local_diagnostic: "none".into(),
            remote_state: "up".into(),
            remote_diagnostic: "none".into(),
            local_discriminator: 17,
            remote_discriminator: Some(4711),
            remote_multiplier: 3,
            negotiated_tx_interval_us: Some(50_000),
            detection_time_us: 150_000,
            heard_us: Some(12_000),
            send_packet_count: 1000,
            receive_packet_count: 999,
            receive_invalid_packet_count: 0,
            receive_invalid_reason: None,
            session_down_count: 2,
            failure: None,
        }
    }

    #[test]
    fn one_that_is_up() {
        assert_eq!(
            lines(&session()),
            [
                "BFD with 192.0.2.2 on eth0: up, the peer says up",
                "discriminators 17 and 4711",
                "sends every 50 ms; the peer is lost after 150 ms of silence",
                "1000 packets sent, 999 received, 0 refused; lost 2 times",
            ]
        );
    }

    #[test]
    fn one_that_cannot_be() {
        let broken = BfdReport {
            local_state: "down".into(),
            local_diagnostic: "control-expiry".into(),
            remote_discriminator: None,
            detection_time_us: 0,
            negotiated_tx_interval_us: None,
            receive_invalid_reason: Some("its TTL or Hop Limit is 254, and not 255".into()),
            failure: Some("cannot send to 192.0.2.2: Network is unreachable".into()),
            ..session()
        };
        assert_eq!(
            lines(&broken),
            [
                "cannot send to 192.0.2.2: Network is unreachable",
                "BFD with 192.0.2.2 on eth0: down (control-expiry), the peer is not heard",
                "discriminators 17 and none",
                "sends nothing, as the peer wants it",
                "1000 packets sent, 999 received, 0 refused; lost 2 times",
                "refused last because its TTL or Hop Limit is 254, and not 255",
            ]
        );
    }
}
