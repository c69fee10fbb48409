// What the kernel promises to programs of the classifier hook, as far as it is used; no header of its own is included.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(value) __builtin_bswap16(value)
#define BE32(value) __builtin_bswap32(value)
#else
#define BE16(value) (value)
#define BE32(value) (value)
#endif

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
static long (*skb_store_bytes)(struct __sk_buff *skb, u32 offset, const void *from, u32 len, u64 flags) = (void *)9;
static long (*l4_csum_replace)(struct __sk_buff *skb, u32 offset, u64 from, u64 to, u64 flags) = (void *)11;
static long (*skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;
static long (*redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*skb_load_bytes)(const struct __sk_buff *skb, u32 offset, void *to, u32 len) = (void *)26;
static long (*csum_diff)(const u32 *from, u32 from_size, const u32 *to, u32 to_size, u32 seed) = (void *)28;
static long (*skb_change_type)(struct __sk_buff *skb, u32 type) = (void *)32;
static long (*skb_change_tail)(struct __sk_buff *skb, u32 len, u64 flags) = (void *)38;
// CLOCK_BOOTTIME: what was suspended has been replaced by now.
static u64 (*ktime_get_boot_ns)(void) = (void *)125;

enum {
	NEXT_FILTER = -1, // TC_ACT_UNSPEC
	DROP = 2, // TC_ACT_SHOT

	HOST = 0, // PACKET_HOST
	OTHER_HOST = 3, // PACKET_OTHERHOST

	HASH = 1, // BPF_MAP_TYPE_HASH
	ARRAY = 2, // BPF_MAP_TYPE_ARRAY
	PERCPU_ARRAY = 6, // BPF_MAP_TYPE_PERCPU_ARRAY
	NO_PREALLOC = 1, // BPF_F_NO_PREALLOC
	MMAPABLE = 1 << 10, // BPF_F_MMAPABLE

	RECOMPUTE = 1, // BPF_F_RECOMPUTE_CSUM
};

// A map, as the build reads it from the object.
struct map {
	u32 kind;
	u32 key; // bytes
	u32 value; // bytes
	u32 entries;
	u32 flags;
};

#define MAP(name) struct map name SECTION("maps")
