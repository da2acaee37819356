// Tiles of queries of packed segments. Positions of a segment count its prefix first, then its own
// keys; query i of a tile stands at `position + i` and sees positions up to its own, the last `window`
// of them.
#pragma once
#include "device/types.cuh"

#define QUERY_TILE 64u

// As the host writes it. A tile of rows that belong to no segment has no keys.
struct QueryTile {
    u32 row, count;      // queries row..row + count of the tensor
    u32 position, keys;  // of the first query; how many the last one sees
    u32 prefix, prefix_keys, own;  // first row of the prefix, its length, first row of the segment's keys
    u32 unused;
};

// The row of the key tensor that holds a position.
DEV u32 key_row(const QueryTile& tile, u32 position) {
    return position < tile.prefix_keys ? tile.prefix + position : tile.own + (position - tile.prefix_keys);
}

DEV bool sees(u32 query, u32 key, u32 window) { return key <= query && query - key < window; }

// The first position that a query sees.
DEV u32 first_seen(u32 query, u32 window) { return query >= window ? query - window + 1 : 0; }
