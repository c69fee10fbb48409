//! A codec of the laboratory's own, written from the standards and independent of the product's.
//!
//! Building ([`Advert`], ARP, neighbour discovery, echoes) allows every defect a receiver must survive; reading
//! ([`Packet`]) reports what is there and judges nothing.

mod advert;
mod arp;
mod checksum;
mod ethernet;
mod icmp;
mod ip;
mod packet;

pub use advert::{Advert, Authentication, Checksum};
pub use arp::Arp;
pub use checksum::{fold, message_sum, pseudo_sum};
pub use ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, Mac};
pub use icmp::{
    Echo, NeighbourAdvert, NeighbourSolicit, icmp_echo, neighbour_advert, neighbour_solicit,
    solicited_node,
};
pub use ip::{Ip, tcp_syn, udp};
pub use packet::{Heard, Packet, Payload};

/// IP protocol and next-header number of VRRP (RFC 9568 §5.1.1.4).
pub const VRRP: u8 = 112;
