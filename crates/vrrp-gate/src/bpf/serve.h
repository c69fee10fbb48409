// Routers without a macvlan: questions about their addresses are answered here, and what the kernel says in their name is
// put right.

struct address {
	u32 words[4];
};

// What is served: an address, IPv4 as ::ffff:a.b.c.d, and the router of which it is, with what holds for it.
MAP(ADDRESSES) = { HASH, sizeof(struct address), sizeof(u32), 16384, NO_PREALLOC };

enum {
	ROUTER = 0xffff, // its index
	ACCEPTED = 1 << 16, // packets to it are for this host
	OWNED = 1 << 17, // it is the interface's own as well
	LED = 1 << 18, // it is not served: its router has a macvlan
};

// Of which families a router has addresses, if it has no macvlan: CARP has one MAC address for both. No identifier is 0: that entry
// says what there is at all.
MAP(SERVED) = { ARRAY, sizeof(u32), sizeof(u32), ENTRIES, 0 };

enum { ANY = 0 };
enum { SERVES_IPV4 = 1, IS_LED = 2, SERVES_IPV6 = 4 };

INLINE int is_marked(u32 index, u32 mark)
{
	u32 *marks = map_lookup(&SERVED, &index);

	return marks && *marks & mark;
}

INLINE int is_served(u32 index)
{
	return is_marked(index, SERVES_IPV4 | SERVES_IPV6);
}

INLINE u32 *find_any_ipv4(u32 ip)
{
	struct address address = { { 0, 0, BE32(0xffff), ip } };

	return map_lookup(&ADDRESSES, &address);
}

INLINE u32 *find_ipv4(u32 ip)
{
	u32 *entry = find_any_ipv4(ip);

	return entry && !(*entry & LED) ? entry : 0;
}

INLINE void set_virtual_mac(u8 *mac, u32 router)
{
	mac[0] = 0;
	mac[1] = 0;
	mac[2] = 0x5e;
	mac[3] = 0;
	mac[4] = 1 + (router >> 8 & 1);
	mac[5] = router;
}

#define COPY(to, from) __builtin_memcpy(to, from, sizeof(to))

// ---- ARP (RFC 826) ----

struct arp {
	u16 hardware;
	u16 protocol;
	u8 lengths[2];
	u16 operation;
	u8 sender_mac[6];
	u8 sender[4];
	u8 target_mac[6];
	u8 target[4];
};

struct arp_frame {
	struct ethernet ethernet;
	struct arp arp;
};

enum {
	REQUEST = BE16(1),
	REPLY = BE16(2),
	SENDER_MAC = sizeof(struct ethernet) + 8,
	SENDER = SENDER_MAC + 6,
};

INLINE int read_arp(const struct __sk_buff *skb, struct arp_frame *frame)
{
	const struct arp *arp = &frame->arp;

	return skb_load_bytes(skb, 0, frame, sizeof(*frame)) == 0 && arp->hardware == BE16(1) &&
	       arp->protocol == IPV4 && arp->lengths[0] == 6 && arp->lengths[1] == 4;
}

INLINE u32 word(const u8 *bytes)
{
	u32 word;

	__builtin_memcpy(&word, bytes, sizeof(word));
	return word;
}

// The frame goes back as it was made, `length` bytes long. The tag of a VLAN that is none is not sent back.
INLINE int shape(struct __sk_buff *skb, u32 length)
{
	if (skb->vlan_present && skb_vlan_pop(skb) < 0)
		return 0;
	return skb_change_tail(skb, length, 0) == 0;
}

INLINE int answer_arp(struct __sk_buff *skb)
{
	struct arp_frame frame;
	struct arp *arp = &frame.arp;
	u8 asker[4];

	if (!read_arp(skb, &frame) || arp->operation != REQUEST)
		return NEXT_FILTER;
	u32 *entry = find_ipv4(word(arp->target));
	if (!entry)
		return NEXT_FILTER;
	u32 router = *entry & ROUTER;
	// Not a question: somebody says that it is his. The kernel would contradict, and take a successor's traffic back; what is
	// for another host it leaves alone, and whoever listens hears it all the same.
	if (word(arp->sender) == word(arp->target))
		return is_open(router) && skb_change_type(skb, OTHER_HOST) < 0 ? DROP : NEXT_FILTER;
	if (!answers(router) || (arp->sender_mac[0] & 1))
		return DROP;

	arp->operation = REPLY;
	COPY(asker, arp->sender);
	COPY(arp->sender, arp->target);
	COPY(arp->target, asker);
	COPY(arp->target_mac, arp->sender_mac);
	set_virtual_mac(arp->sender_mac, router);
	COPY(frame.ethernet.destination, arp->target_mac);
	COPY(frame.ethernet.source, arp->sender_mac);
	frame.ethernet.type = ARP;
	if (!shape(skb, sizeof(frame)) || skb_store_bytes(skb, 0, &frame, sizeof(frame), RECOMPUTE) < 0)
		return DROP;
	return redirect(skb->ifindex, 0);
}

// Everybody's question about an address of a macvlan here. The kernel would queue it, copy it to each macvlan, and let most of
// them throw it away; with a virtual MAC address as its destination it goes to the one that answers. What says whose an
// address is, everybody hears.
INLINE void lead_to_macvlan(struct __sk_buff *skb)
{
	struct arp_frame frame;
	u8 mac[6];

	if (!read_arp(skb, &frame) || frame.arp.operation != REQUEST || !(frame.ethernet.destination[0] & 1))
		return;
	u32 *entry = find_any_ipv4(word(frame.arp.target));
	if (!entry || !(*entry & LED) || find_any_ipv4(word(frame.arp.sender)))
		return;
	u32 router = *entry & ROUTER;
	if (!is_open(router))
		return;
	set_virtual_mac(mac, router);
	if (skb_store_bytes(skb, 0, mac, sizeof(mac), 0) == 0)
		skb_change_type(skb, HOST);
}

// ARP of the kernel's that names a served address as its own teaches the physical MAC address, unless it is changed.
INLINE int speak_arp(struct __sk_buff *skb)
{
	struct arp_frame frame;
	u8 mac[6];
	u32 nobody = 0;

	if (!read_arp(skb, &frame))
		return NEXT_FILTER;
	u32 *entry = find_ipv4(word(frame.arp.sender));
	if (!entry)
		return NEXT_FILTER;
	u32 router = *entry & ROUTER;
	if (answers(router)) {
		set_virtual_mac(mac, router);
		if (skb_store_bytes(skb, 6, mac, sizeof(mac), RECOMPUTE) < 0 ||
		    skb_store_bytes(skb, SENDER_MAC, mac, sizeof(mac), RECOMPUTE) < 0)
			return DROP;
		return NEXT_FILTER;
	}
	// The owner may have no other address to ask from: it asks as if it had none.
	if (*entry & OWNED && frame.arp.operation == REQUEST && word(frame.arp.sender) != word(frame.arp.target))
		return skb_store_bytes(skb, SENDER, &nobody, sizeof(nobody), RECOMPUTE) < 0 ? DROP : NEXT_FILTER;
	return DROP;
}

// ---- Neighbor Discovery (RFC 4861) ----

struct ipv6 {
	u32 version; // with traffic class and flow label
	u16 length;
	u8 next;
	u8 hops;
	struct address source;
	struct address destination;
};

// A Neighbor Solicitation or Advertisement with one option.
struct neighbor {
	u8 type;
	u8 code;
	u16 checksum;
	u32 flags;
	struct address target;
	u8 option;
	u8 units;
	u8 mac[6];
};

struct packet {
	struct ipv6 ip;
	struct neighbor neighbor;
};

enum {
	ICMPV6 = 58,
	SOLICITATION = 135,
	ADVERTISEMENT = 136,
	REDIRECTION = 137,
	SOURCE_MAC = 1, // option
	TARGET_MAC = 2, // option

	IP = sizeof(struct ethernet),
	MESSAGE = IP + sizeof(struct ipv6),
	CHECKSUM = MESSAGE + 2,
	OPTION = MESSAGE + 24,
	SHORTEST = 24, // bytes of a message without options
	LONGEST = 256, // bytes of a solicitation that is answered
};

INLINE u64 sum(const u32 *words, u32 count)
{
	u64 sum = 0;

	for (u32 i = 0; i < count; i++)
		sum += words[i];
	return sum;
}

INLINE u16 fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

INLINE u64 pseudo_header(const struct ipv6 *ip, u32 length)
{
	return sum(ip->source.words, 4) + sum(ip->destination.words, 4) + BE32(length) + BE32(ICMPV6);
}

INLINE int has_checksum(const struct __sk_buff *skb, const struct ipv6 *ip, u32 length)
{
	u64 total = pseudo_header(ip, length);
	u32 pair[2];

#pragma clang loop unroll(disable)
	for (u32 at = 0; at < LONGEST; at += sizeof(pair)) {
		if (at >= length)
			break;
		if (skb_load_bytes(skb, MESSAGE + at, pair, sizeof(pair)) < 0)
			return 0;
		total += (u64)pair[0] + pair[1];
	}
	return fold(total) == 0xffff;
}

INLINE int is_unspecified(const struct address *address)
{
	return !(address->words[0] | address->words[1] | address->words[2] | address->words[3]);
}

INLINE int is_multicast(const struct address *address)
{
	return (address->words[0] & BE32(0xff000000)) == BE32(0xff000000);
}

// ff02::1:ff00:0/104
INLINE int is_solicited_node(const struct address *address)
{
	return address->words[0] == BE32(0xff020000) && !address->words[1] && address->words[2] == BE32(1) &&
	       (address->words[3] & BE32(0xff000000)) == BE32(0xff000000);
}

// What RFC 4861 §7.1.1 asks for, except for the options.
INLINE int is_valid(const struct __sk_buff *skb, const struct packet *packet)
{
	const struct ipv6 *ip = &packet->ip;
	u32 length = BE16(ip->length);

	if (packet->neighbor.code || length < SHORTEST || length > LONGEST || length % 8)
		return 0;
	if (is_multicast(&ip->source) || (is_unspecified(&ip->source) && !is_solicited_node(&ip->destination)))
		return 0;
	return has_checksum(skb, ip, length);
}

// A solicitation for an address of `router`.
INLINE int answer_solicitation(struct __sk_buff *skb, struct ethernet *ethernet, struct packet *packet, u32 router)
{
	struct ipv6 *ip = &packet->ip;
	struct neighbor *neighbor = &packet->neighbor;
	const struct address all_nodes = { { BE32(0xff020000), 0, 0, BE32(1) } };
	const u8 all_nodes_mac[6] = { 0x33, 0x33, 0, 0, 0, 1 };

	if (!answers(router) || (ethernet->source[0] & 1) || !is_valid(skb, packet))
		return DROP;

	COPY(ethernet->destination, ethernet->source);
	ip->destination = ip->source;
	neighbor->flags = BE32(0xe0000000); // router, solicited, override
	if (is_unspecified(&ip->source)) {
		// It asks whether it may have that address, and has none to be told at.
		COPY(ethernet->destination, all_nodes_mac);
		ip->destination = all_nodes;
		neighbor->flags = BE32(0xa0000000);
	}
	set_virtual_mac(ethernet->source, router);
	ip->version = BE32(0x6c000000); // traffic class CS6, as announcements have it
	ip->length = BE16(sizeof(*neighbor));
	ip->source = neighbor->target;
	neighbor->type = ADVERTISEMENT;
	neighbor->checksum = 0;
	neighbor->option = TARGET_MAC;
	neighbor->units = 1;
	set_virtual_mac(neighbor->mac, router);
	neighbor->checksum = ~fold(pseudo_header(ip, sizeof(*neighbor)) +
				   sum((const u32 *)neighbor, sizeof(*neighbor) / sizeof(u32)));
	if (!shape(skb, IP + sizeof(*packet)) ||
	    skb_store_bytes(skb, 0, ethernet, sizeof(*ethernet), RECOMPUTE) < 0 ||
	    skb_store_bytes(skb, IP, packet, sizeof(*packet), RECOMPUTE) < 0)
		return DROP;
	return redirect(skb->ifindex, 0);
}

// A solicitation of the kernel's from a served address teaches the physical MAC address, unless it is changed.
INLINE int speak_solicitation(struct __sk_buff *skb, const struct packet *packet)
{
	struct {
		u8 kind;
		u8 units;
		u8 mac[6];
	} __attribute__((aligned(4))) old, new;
	u8 mac[6];

	u32 *entry = map_lookup(&ADDRESSES, &packet->ip.source);
	if (!entry)
		return NEXT_FILTER;
	if (!answers(*entry & ROUTER))
		return *entry & OWNED ? NEXT_FILTER : DROP;
	set_virtual_mac(mac, *entry & ROUTER);
	if (skb_store_bytes(skb, 6, mac, sizeof(mac), 0) < 0)
		return DROP;
	if (skb_load_bytes(skb, OPTION, &old, sizeof(old)) < 0 || old.kind != SOURCE_MAC || old.units != 1)
		return NEXT_FILTER;
	new = old;
	COPY(new.mac, mac);
	long difference = csum_diff((const u32 *)&old, sizeof(old), (const u32 *)&new, sizeof(new), 0);
	if (l4_csum_replace(skb, CHECKSUM, 0, difference, 0) < 0 ||
	    skb_store_bytes(skb, OPTION, &new, sizeof(new), 0) < 0)
		return DROP;
	return NEXT_FILTER;
}

// Whether it is ARP, or Neighbor Discovery.
INLINE int is_about_an_address(const struct __sk_buff *skb, u16 type)
{
	u8 next;
	u8 message;

	if (type == ARP)
		return 1;
	return type == IPV6 && skb_load_bytes(skb, IP + 6, &next, sizeof(next)) == 0 && next == ICMPV6 &&
	       skb_load_bytes(skb, MESSAGE, &message, sizeof(message)) == 0 && message >= SOLICITATION &&
	       message <= REDIRECTION;
}

// ---- Packets ----

// A packet to a served address is for this host, or for nobody.
INLINE int accept(const u32 *entry)
{
	if (!entry || *entry & OWNED)
		return NEXT_FILTER;
	return *entry & ACCEPTED && is_open(*entry & ROUTER) ? NEXT_FILTER : DROP;
}

INLINE int serve_ipv4(struct __sk_buff *skb)
{
	u32 destination;

	if (skb_load_bytes(skb, IP + 16, &destination, sizeof(destination)) < 0)
		return NEXT_FILTER;
	return accept(find_ipv4(destination));
}

INLINE int serve_ipv6(struct __sk_buff *skb, struct ethernet *ethernet)
{
	struct packet packet = {};

	if (skb_load_bytes(skb, IP, &packet.ip, sizeof(packet.ip)) < 0)
		return NEXT_FILTER;
	// 255: no router has passed it on.
	if (packet.ip.next == ICMPV6 && packet.ip.hops == 255 &&
	    skb_load_bytes(skb, MESSAGE, &packet.neighbor, SHORTEST) == 0 &&
	    packet.neighbor.type == SOLICITATION) {
		u32 *entry = map_lookup(&ADDRESSES, &packet.neighbor.target);
		if (entry)
			return answer_solicitation(skb, ethernet, &packet, *entry & ROUTER);
	}
	return accept(map_lookup(&ADDRESSES, &packet.ip.destination));
}

// What comes in for this host.
INLINE int serve(struct __sk_buff *skb, struct ethernet *ethernet)
{
	switch (ethernet->type) {
	case ARP:
		return is_marked(ANY, SERVES_IPV4) ? answer_arp(skb) : NEXT_FILTER;
	case IPV4:
		return is_marked(ANY, SERVES_IPV4) ? serve_ipv4(skb) : NEXT_FILTER;
	case IPV6:
		return is_marked(ANY, SERVES_IPV6) ? serve_ipv6(skb, ethernet) : NEXT_FILTER;
	default:
		return NEXT_FILTER;
	}
}

// A host that sent a packet to the virtual MAC address is redirected by the router's own address, which it does not use as
// a gateway (RFC 9568 §8.1.1, §8.2.1). No redirection is better.
INLINE int speak_ipv4(const struct __sk_buff *skb)
{
	struct {
		u8 length; // with the version
		u8 class;
		u16 total;
		u16 id;
		u16 fragment;
		u8 ttl;
		u8 protocol;
	} ip;
	u8 type;

	if (skb_load_bytes(skb, IP, &ip, sizeof(ip)) < 0 || ip.protocol != 1 || ip.fragment & BE16(0x1fff))
		return NEXT_FILTER;
	if (skb_load_bytes(skb, IP + (ip.length & 15) * 4, &type, sizeof(type)) < 0)
		return NEXT_FILTER;
	return type == 5 ? DROP : NEXT_FILTER;
}

INLINE int speak_ipv6(struct __sk_buff *skb)
{
	struct packet packet;

	if (skb_load_bytes(skb, IP, &packet.ip, sizeof(packet.ip)) < 0 || packet.ip.next != ICMPV6 ||
	    skb_load_bytes(skb, MESSAGE, &packet.neighbor, SHORTEST) < 0)
		return NEXT_FILTER;
	switch (packet.neighbor.type) {
	case SOLICITATION:
		return speak_solicitation(skb, &packet);
	case ADVERTISEMENT:
		// Whoever asked has been answered already.
		return map_lookup(&ADDRESSES, &packet.neighbor.target) ? DROP : NEXT_FILTER;
	case REDIRECTION:
		return DROP;
	default:
		return NEXT_FILTER;
	}
}

// What goes out in the name of this host.
INLINE int speak(struct __sk_buff *skb, const struct ethernet *ethernet)
{
	switch (ethernet->type) {
	case ARP:
		return is_marked(ANY, SERVES_IPV4) ? speak_arp(skb) : NEXT_FILTER;
	case IPV4:
		return is_marked(ANY, SERVES_IPV4) ? speak_ipv4(skb) : NEXT_FILTER;
	case IPV6:
		return is_marked(ANY, SERVES_IPV6) ? speak_ipv6(skb) : NEXT_FILTER;
	default:
		return NEXT_FILTER;
	}
}
