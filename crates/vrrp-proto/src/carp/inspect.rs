//! What is made of an advertisement by somebody who only looks on, and what a member of a group would say: with the checks of
//! a router, without being one.

use alloc::vec::Vec;

use super::Bid;
use super::packet::{Advertisement, Malformed};
use super::voice::Voice;
use crate::plan::RouterPlan;
use crate::receive::{Envelope, Heard, Reject};
use crate::time::Instant;

/// The checks for which nobody has to know the group.
///
/// # Errors
/// The first one that failed.
pub fn open(envelope: &Envelope, message: &[u8]) -> Result<Advertisement, Reject> {
    let advertisement = Advertisement::parse(message);
    if advertisement == Err(Malformed::Version) {
        return Err(Reject::Version);
    }
    if advertisement == Err(Malformed::Short) {
        return Err(Reject::Short);
    }
    if envelope.hop_limit != 255 {
        return Err(Reject::HopLimit);
    }
    advertisement.map_err(|malformed| match malformed {
        Malformed::Short => Reject::Short,
        Malformed::Version => Reject::Version,
        Malformed::Checksum => Reject::Checksum,
        Malformed::Vhid => Reject::Vrid,
    })
}

/// What a router of this plan makes of it that has heard nothing before.
///
/// # Errors
/// The first check that failed; [`Reject::Carp`] if the plan is none of CARP.
pub fn examine(envelope: &Envelope, message: &[u8], plan: &RouterPlan) -> Result<Heard, Reject> {
    Member::new(plan, 0).hear(envelope, message, plan)
}

/// Another member of a group, who says and hears what a router of its plan does.
#[derive(Clone, Debug)]
pub struct Member(Voice);

impl Member {
    /// One whose last advertisement had this counter.
    #[must_use]
    pub fn new(plan: &RouterPlan, counter: u64) -> Self {
        Self(Voice::new(plan, counter))
    }

    /// What it makes of a message.
    ///
    /// # Errors
    /// The first check that failed; [`Reject::Carp`] if the plan is none of CARP.
    pub fn hear(
        &mut self,
        envelope: &Envelope,
        message: &[u8],
        plan: &RouterPlan,
    ) -> Result<Heard, Reject> {
        let carp = plan.carp.as_ref().ok_or(Reject::Carp)?;
        // It waits for nothing, and its clock is not set.
        let now = Instant::ZERO;
        self.0.hear(now, envelope, message, plan, carp, [None; 2])
    }

    /// Its next advertisement, sealed later than anything that was heard where it is listened to; nothing if the plan is none of
    /// CARP.
    pub fn speak(&mut self, plan: &RouterPlan, bid: Bid) -> Vec<u8> {
        let Some(carp) = plan.carp.as_ref() else {
            return Vec::new();
        };
        self.0.hurry();
        let said = self.0.speak(Instant::ZERO, plan, carp, bid);
        said.first()
            .map_or_else(Vec::new, |message| message.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;
    use crate::carp::digest::{Covered, LinkLocal, Passphrase};
    use crate::dialect::Dialect;
    use crate::plan::VirtualAddress;
    use crate::types::{Family, Vrid};

    const LIST: [&str; 4] = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"];

    fn plan() -> RouterPlan {
        let carp = crate::carp::CarpPlan::new(100, Passphrase::new(b"secret").unwrap());
        let addresses = ips(&LIST).into_iter().map(|ip| VirtualAddress {
            ip,
            prefix_len: if ip.is_ipv4() { 24 } else { 64 },
        });
        let vhid = Vrid::new(7).unwrap();
        let plan = RouterPlan::new("fw", "eth0", vhid, Family::Ipv4, addresses.collect());
        RouterPlan {
            dialect: Dialect::Carp,
            carp: Some(carp),
            ..plan
        }
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn sent(passphrase: &[u8], addresses: &[&str]) -> Advertisement {
        let vhid = Vrid::new(7).unwrap();
        let covered = Covered::new(vhid, &ips(addresses), LinkLocal::LeftOut);
        Advertisement {
            vhid,
            bid: Bid {
                advbase: 1,
                advskew: 0,
                demotion: 0,
            },
            counter: 99,
            digest: covered.digest(&Passphrase::new(passphrase).unwrap(), 99),
        }
    }

    const ENVELOPE: Envelope = Envelope {
        source: IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 11)),
        destination: IpAddr::V4(core::net::Ipv4Addr::new(224, 0, 0, 18)),
        hop_limit: 255,
    };

    #[test]
    fn it_is_taken_or_refused_as_by_a_router() {
        let plan = plan();
        let right = sent(b"secret", &LIST);
        let heard = examine(&ENVELOPE, &right.emit(), &plan).unwrap();
        assert_eq!(
            (heard.source, heard.bid),
            (ENVELOPE.source, Some(right.bid))
        );
        let wrong = sent(b"Secret", &LIST).emit();
        let damaged = {
            let mut message = right.emit();
            message[5] = 2;
            message
        };
        let far = Envelope {
            hop_limit: 64,
            ..ENVELOPE
        };
        let unicast = Envelope {
            destination: ENVELOPE.source,
            ..ENVELOPE
        };
        for (envelope, message, reject) in [
            (ENVELOPE, &right.emit()[..35], Reject::Short),
            (ENVELOPE, &[0x31; 36][..], Reject::Version),
            (far, &right.emit()[..], Reject::HopLimit),
            (ENVELOPE, &damaged, Reject::Checksum),
            (unicast, &right.emit(), Reject::Mode),
            (ENVELOPE, &wrong, Reject::Digest),
        ] {
            assert_eq!(examine(&envelope, message, &plan), Err(reject));
        }
        let of_vrrp = RouterPlan { carp: None, ..plan };
        let none = examine(&ENVELOPE, &right.emit(), &of_vrrp);
        assert_eq!(none, Err(Reject::Carp));
    }
}
