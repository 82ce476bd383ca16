"""Where Java's default partitioner puts a key: written from its definition, not from a client's."""

MASK = 0xFFFFFFFF
M = 0x5BD1E995


def java_partition(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data):
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start:start + 4], "little") * M & MASK
        k = (k ^ k >> 24) * M & MASK
        h = (h * M & MASK) ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * M & MASK
    h = (h ^ h >> 13) * M & MASK
    return h ^ h >> 15
