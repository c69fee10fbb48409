// Passes a frame of a virtual MAC address only while the lease of its router has not expired, and does what a macvlan
// would do for routers that have none.
//
// Two programs for the classifier hook of one interface: `ingress` judges frames by destination, `egress` by source.
// Everything that is not of a guarded virtual MAC address, or about an address that is served, passes; and passing means:
// on to the next filter.

#include "bpf/kernel.h"

enum {
	ENTRIES = 512, // two families of 256 identifiers
	VLAN_ID = 0x0fff,

	IPV4 = BE16(0x0800),
	ARP = BE16(0x0806),
	IPV6 = BE16(0x86dd),

	GROUP = 0x12, // last byte of the MAC addresses of VRRP's groups, 224.0.0.18 and ff02::12
};

enum { IS_MUTED = 1, IS_HUSHED = 2 };

// Where the counters of a direction begin in `struct counters`.
enum { IN = 0, OUT = 2 };

// Deadlines in ns of CLOCK_BOOTTIME, written through a mapping by the process that holds the leases. 0: not guarded. IS_MUTED: the
// router does not speak with its virtual MAC address, but says whose its addresses are; IS_HUSHED: nor does it that. No identifier
// is 0, and entry 0 has the interface's own MAC address, or 0.
MAP(LEASES) = { ARRAY, sizeof(u32), sizeof(u64), ENTRIES, MMAPABLE };

// Frames of guarded addresses: passed in, dropped in, passed out, dropped out.
struct counters {
	u64 frames[4];
};

MAP(COUNTERS) = { PERCPU_ARRAY, sizeof(u32), sizeof(struct counters), ENTRIES, 0 };

struct ethernet {
	u8 destination[6];
	u8 source[6];
	u16 type;
};

// The beginning of a frame.
struct start {
	struct ethernet ethernet;
	u16 tag; // of a VLAN, if the type says so
};

INLINE int is_open(u32 index)
{
	u64 *lease = map_lookup(&LEASES, &index);

	return lease && ktime_get_boot_ns() < *(volatile u64 *)lease;
}

// Whether it is open, and says whose its addresses are.
INLINE int answers(u32 index)
{
	u64 *lease = map_lookup(&LEASES, &index);
	u64 deadline = lease ? *(volatile u64 *)lease : 0;

	return ktime_get_boot_ns() < deadline && !(deadline & IS_HUSHED);
}

// Who gives up goes on serving until the successor is heard, but the virtual MAC address is the successor's from its first frame
// on: switches should not learn it from here any more. So a router that is muted speaks with the interface's own, but when it says
// whose an address is, which is rare: hosts and switches may believe no other than the one that is said. When the successor has been
// heard it says that no more. Whether its own is known.
INLINE int get_own_mac(u8 *mac)
{
	u32 place = 0;
	u64 *entry = map_lookup(&LEASES, &place);
	u64 own = entry ? *(volatile u64 *)entry : 0;

	__builtin_memcpy(mac, &own, 6);
	return own != 0;
}

#include "bpf/serve.h"

// Whether there was enough of it.
INLINE int read_start(const struct __sk_buff *skb, struct start *start)
{
	const struct start *there = (void *)(long)skb->data;

	if ((const void *)(there + 1) <= (void *)(long)skb->data_end) {
		*start = *there;
		return 1;
	}
	// A short frame, or one whose beginning lies in pages.
	start->tag = 0;
	return skb_load_bytes(skb, 0, start, sizeof(*start)) == 0 ||
	       skb_load_bytes(skb, 0, &start->ethernet, sizeof(start->ethernet)) == 0;
}

// Whether the frame belongs to a VLAN, and so to another interface, which has a gate of its own. Identifier 0 is none.
INLINE int of_a_vlan(const struct __sk_buff *skb, const struct start *start)
{
	u16 type = start->ethernet.type;

	if (skb->vlan_present)
		return (skb->vlan_tci & VLAN_ID) != 0;
	return (type == BE16(0x8100) || type == BE16(0x88a8)) && (start->tag & BE16(VLAN_ID)) != 0;
}

// What becomes of a frame because of its virtual MAC address. STRANGE: it has none that is guarded. MUTED: it passes, but does not
// leave with it. HUSHED: and says nothing of addresses.
enum { STRANGE, PASSES, MUTED, HUSHED, STOPS };

// Each counter is at a place that is known when this is compiled: without CAP_PERFMON the kernel takes nothing else.
INLINE void count(u32 index, u32 which)
{
	struct counters *counters = map_lookup(&COUNTERS, &index);

	if (counters)
		__sync_fetch_and_add(&counters->frames[which], 1);
}

// Until when the router of this address has its lease, and which it is. 0: none is guarded.
INLINE u64 deadline_of(const u8 *address, u32 *router)
{
	u64 *lease;

	// 00:00:5e:00:01 for IPv4, and for CARP whatever it carries; 00:00:5e:00:02 for IPv6
	if (address[2] != 0x5e || address[0] | address[1] | address[3])
		return 0;
	if ((address[4] != 1 && address[4] != 2) || !address[5])
		return 0;
	*router = (address[4] - 1) << 8 | address[5];
	lease = map_lookup(&LEASES, router);
	return lease ? *(volatile u64 *)lease : 0;
}

INLINE int judge(const u8 *address, u32 direction, u32 *router)
{
	u64 deadline = deadline_of(address, router);

	if (!deadline)
		return STRANGE;
	if (ktime_get_boot_ns() < deadline) {
		count(*router, direction);
		return deadline & IS_HUSHED ? HUSHED : deadline & IS_MUTED ? MUTED : PASSES;
	}
	count(*router, direction + 1);
	return STOPS;
}

// The kernel would queue an advertisement of a peer's, and look at each macvlan here before it gives it to none: from the
// MAC address of one of them it seems to be this host's own, and only those in VEPA mode would get it. It is heard on
// this interface. To an address that nobody has it goes past them; that it came as multicast has been noted before.
INLINE void lead_past_macvlans(struct __sk_buff *skb, const struct ethernet *ethernet)
{
	const u8 *group = ethernet->destination;
	u8 nobody = group[0] & ~1;
	u32 router;

	if (!(group[0] & 1) || group[5] != GROUP || group[3] | group[4])
		return;
	if (deadline_of(ethernet->source, &router) && !is_served(router))
		skb_store_bytes(skb, 0, &nobody, sizeof(nobody), 0);
}

SECTION("classifier") int ingress(struct __sk_buff *skb)
{
	struct start start;
	u32 router = 0;

	if (!read_start(skb, &start) || of_a_vlan(skb, &start))
		return NEXT_FILTER;
	switch (judge(start.ethernet.destination, IN, &router)) {
	case STOPS:
		return DROP;
	case PASSES:
	case MUTED:
	case HUSHED:
		if (!is_marked(router, start.ethernet.type == IPV6 ? SERVES_IPV6 : SERVES_IPV4))
			return NEXT_FILTER;
		// From here on the kernel takes it for its own: to be delivered or forwarded.
		skb_change_type(skb, HOST);
		break;
	default:
		if (skb->pkt_type == OTHER_HOST)
			return NEXT_FILTER;
		lead_past_macvlans(skb, &start.ethernet);
		if (start.ethernet.type == ARP && is_marked(ANY, IS_LED))
			lead_to_macvlan(skb);
	}
	return serve(skb, &start.ethernet);
}

SECTION("classifier") int egress(struct __sk_buff *skb)
{
	struct start start;
	u32 router;

	if (!read_start(skb, &start) || of_a_vlan(skb, &start))
		return NEXT_FILTER;
	switch (judge(start.ethernet.source, OUT, &router)) {
	case STOPS:
		return DROP;
	case PASSES:
		return NEXT_FILTER;
	case HUSHED:
		if (is_about_an_address(skb, start.ethernet.type))
			return DROP;
		if (get_own_mac(start.ethernet.source))
			skb_store_bytes(skb, 6, start.ethernet.source, 6, 0);
		return NEXT_FILTER;
	case MUTED:
		if (!is_about_an_address(skb, start.ethernet.type) && get_own_mac(start.ethernet.source))
			skb_store_bytes(skb, 6, start.ethernet.source, 6, 0);
		return NEXT_FILTER;
	default:
		return speak(skb, &start.ethernet);
	}
}

// Whether the kernel lends a program helpers that are for GPL programs only; none is needed.
char permission[] SECTION("license") = "MIT";
