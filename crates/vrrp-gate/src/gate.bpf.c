// Passes a frame of a virtual MAC address only while the lease of its router has not expired.
//
// Two programs for the classifier hook of one interface: `ingress` judges frames by destination, `egress` by source.
// Everything that is not a guarded virtual MAC address passes, and passing means: on to the next filter.
// No header is included; what the kernel promises to programs is declared here.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline

// The beginning of the kernel's `struct __sk_buff`; a program is given no more fields than it names.
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
};

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*skb_load_bytes)(const void *skb, u32 offset, void *to, u32 len) = (void *)26;
// CLOCK_BOOTTIME: what was suspended has been replaced by now.
static u64 (*ktime_get_boot_ns)(void) = (void *)125;

enum {
	NEXT_FILTER = -1, // TC_ACT_UNSPEC
	DROP = 2, // TC_ACT_SHOT

	ARRAY = 2, // BPF_MAP_TYPE_ARRAY
	PERCPU_ARRAY = 6, // BPF_MAP_TYPE_PERCPU_ARRAY
	MMAPABLE = 1 << 10, // BPF_F_MMAPABLE

	ENTRIES = 512, // two families of 256 identifiers
	VLAN_ID = 0x0fff,
};

// Where the counters of a direction begin in `struct counters`.
enum { IN = 0, OUT = 2 };

// Maps are described by the types of members that are never read.
#define NUMBER(name, value) int (*name)[value]
#define TYPE(name, type) type *name

// Deadlines in ns of CLOCK_BOOTTIME, written through a mapping by the process that holds the leases. 0: not guarded.
struct {
	NUMBER(type, ARRAY);
	NUMBER(max_entries, ENTRIES);
	NUMBER(map_flags, MMAPABLE);
	TYPE(key, u32);
	TYPE(value, u64);
} LEASES SECTION(".maps");

// Frames of guarded addresses: passed in, dropped in, passed out, dropped out.
struct counters {
	u64 frames[4];
};

struct {
	NUMBER(type, PERCPU_ARRAY);
	NUMBER(max_entries, ENTRIES);
	TYPE(key, u32);
	TYPE(value, struct counters);
} COUNTERS SECTION(".maps");

struct ethernet {
	u8 destination[6];
	u8 source[6];
	u8 type[2];
	u8 tag[2]; // of a VLAN, if the type says so
};

// Whether the frame belongs to a VLAN, and so to another interface, which has a gate of its own. Identifier 0 is none.
INLINE int of_a_vlan(const struct __sk_buff *skb, const struct ethernet *header)
{
	u16 type = header->type[0] << 8 | header->type[1];

	if (skb->vlan_present)
		return (skb->vlan_tci & VLAN_ID) != 0;
	return (type == 0x8100 || type == 0x88a8) && ((header->tag[0] << 8 | header->tag[1]) & VLAN_ID) != 0;
}

INLINE int judge(const struct __sk_buff *skb, const struct ethernet *header, const u8 *address, u32 direction)
{
	u32 index;
	u64 *lease, deadline;
	struct counters *counters;

	// 00:00:5e:00:01 for IPv4, 00:00:5e:00:02 for IPv6
	if (address[2] != 0x5e || address[0] | address[1] | address[3])
		return NEXT_FILTER;
	if (address[4] != 1 && address[4] != 2)
		return NEXT_FILTER;
	if (of_a_vlan(skb, header))
		return NEXT_FILTER;
	index = (address[4] - 1) << 8 | address[5];

	lease = map_lookup(&LEASES, &index);
	if (!lease)
		return NEXT_FILTER;
	deadline = *(volatile u64 *)lease;
	if (!deadline)
		return NEXT_FILTER;

	int passes = ktime_get_boot_ns() < deadline;

	counters = map_lookup(&COUNTERS, &index);
	if (counters)
		counters->frames[direction + !passes]++;
	return passes ? NEXT_FILTER : DROP;
}

INLINE int gate(const struct __sk_buff *skb, u32 direction)
{
	const struct ethernet *header = (void *)(long)skb->data;
	struct ethernet copy;

	if ((const void *)(header + 1) > (void *)(long)skb->data_end) {
		// A short frame, or one whose beginning lies in pages.
		copy.tag[0] = copy.tag[1] = 0;
		if (skb_load_bytes(skb, 0, &copy, sizeof(copy)) < 0 &&
		    skb_load_bytes(skb, 0, &copy, sizeof(copy) - sizeof(copy.tag)) < 0)
			return NEXT_FILTER;
		header = &copy;
		return judge(skb, header, direction == IN ? header->destination : header->source, direction);
	}
	return judge(skb, header, direction == IN ? header->destination : header->source, direction);
}

SECTION("classifier") int ingress(const struct __sk_buff *skb)
{
	return gate(skb, IN);
}

SECTION("classifier") int egress(const struct __sk_buff *skb)
{
	return gate(skb, OUT);
}

// Whether the kernel lends a program helpers that are for GPL programs only; none is needed.
char permission[] SECTION("license") = "MIT";
