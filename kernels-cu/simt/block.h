// One thread, one warp, one block: barriers, warp collectives, shared memory, and the scheduler
// that finds a barrier nobody can complete.
#pragma once

namespace simt {
enum State : uint8_t { READY, AT_WARP, AT_BLOCK, AT_NAMED, DONE };
struct Copy { void* to; const void* from; };
struct Lane {
    uint3 tid; int lane, warp; State state; uint8_t bar; uint8_t kind; unsigned mask; int line;
    char in, out;  // addresses for the thread sanitizer: a barrier's last thread takes every in, gives every out
    std::vector<Copy> copies;  // begun and not waited for
    Context ctx;
};
struct alignas(64) Warp {
    unsigned alive = 0, waiting = 0;
    // What lanes bring to a collective, and what the last one to arrive works out for each: a slow
    // lane still finds its own result when others are several collectives ahead under other masks.
    alignas(16) uint64_t in[WARP][6], out[WARP][6]; int src[WARP];
};
struct Named { int arrived = 0, need = 0; uint64_t who[16] = {}; };
struct Block {
    uint3 block_idx; dim3 grid, block; unsigned n = 0, n_alive = 0, at_block = 0; int block_line = 0;
    unsigned char* smem = nullptr; size_t smem_bytes = 0; char start, end;
    std::vector<Lane> lanes; std::vector<Warp> warps; Named named[16];
    void (*fn)(void*) = nullptr; void* arg = nullptr;
    struct Shared { const void* key; std::unique_ptr<unsigned char[]> p; size_t n; };
    std::vector<Shared> shared; Context sched; unsigned char* stacks = nullptr; size_t n_stacks = 0; std::string error;
};
inline thread_local Lane* cur = nullptr;
inline thread_local Block* blk = nullptr;
// A compiler may keep the address of a thread-local across a call; fibers never change OS thread,
// so that is harmless here.
[[noreturn]] inline void fail(const std::string& m) {  // leaves the kernel: control never comes back
    Block* b = blk;
    b->error = format("block (%u,%u,%u) thread (%u,%u,%u): ", b->block_idx.x, b->block_idx.y, b->block_idx.z,
                      cur->tid.x, cur->tid.y, cur->tid.z) + m;
    switch_to(cur->ctx, b->sched);
    abort();
}
inline void park(State s) { cur->state = s; switch_to(cur->ctx, blk->sched); }

template <class In> inline void meet([[maybe_unused]] Block* b, [[maybe_unused]] In is_in) {
#ifdef SIMT_TSAN
    for (auto& l : b->lanes) if (is_in(l)) __tsan_acquire(&l.in);
    for (auto& l : b->lanes) if (is_in(l)) __tsan_release(&l.out);
#endif
}
inline void release_block(Block* b) {
    meet(b, [](Lane& l) { return l.state == AT_BLOCK; });
    for (auto& l : b->lanes) if (l.state == AT_BLOCK) l.state = READY;
    b->at_block = 0;
}
inline void sync_block(int line) {
    Quiet quiet;
    Block* b = blk;
    if (b->at_block && b->block_line != line)
        fail(format("__syncthreads at line %d while others wait in the one at line %d", line, b->block_line));
    b->block_line = line; cur->line = line;
    tsan_release(&cur->in);
    cur->state = AT_BLOCK;
    if (++b->at_block == b->n_alive) release_block(b); else park(AT_BLOCK);
    tsan_acquire(&cur->out);
}
inline void sync_named(int id, int need, int line, bool wait) {  // bar.sync / bar.arrive id, need
    Quiet quiet;
    Block* b = blk; Named& q = b->named[id];
    if (q.arrived && q.need != need) fail(format("named barrier %d used with %d and %d threads", id, q.need, need));
    q.need = need; cur->line = line; cur->bar = uint8_t(id);
    tsan_release(&cur->in);
    size_t me = size_t(cur - b->lanes.data());
    q.who[me >> 6] |= 1ull << (me & 63);
    if (++q.arrived == need) {
        meet(b, [&](Lane& l) { size_t i = size_t(&l - b->lanes.data()); return q.who[i >> 6] >> (i & 63) & 1; });
        q.arrived = 0; memset(q.who, 0, sizeof q.who);
        for (auto& l : b->lanes) if (l.state == AT_NAMED && l.bar == id) l.state = READY;
    } else if (wait) park(AT_NAMED);
    if (wait) tsan_acquire(&cur->out);
}
// A warp collective: last() runs once, in the lane that arrives last, before any lane goes on.
enum Kind : uint8_t { SYNCWARP = 1, SHFL, SHFL_XOR, SHFL_DOWN, SHFL_UP, BALLOT, MMA, LDMATRIX, LDMATRIX_T };
template <class Last> inline void collective(unsigned mask, Kind kind, int line, Last last) {
    Quiet quiet;
    Lane* l = cur; Warp& w = blk->warps[l->warp];
    if (!(mask >> l->lane & 1)) fail(format("line %d: lane %d is not in its own mask %08x", line, l->lane, mask));
    if (mask & ~w.alive) fail(format("line %d: mask %08x names lanes that exited (%08x)", line, mask, mask & ~w.alive));
    l->mask = mask; l->kind = kind; l->line = line;
    w.waiting |= 1u << l->lane;
    if (kind == SYNCWARP) tsan_release(&l->in);  // the others order no memory
    if ((w.waiting & mask) == mask) {
        Lane* base = l - l->lane;
        for (unsigned m = mask; m; m &= m - 1) {
            Lane& o = base[__builtin_ctz(m)];
            if (o.mask != mask || o.line != line || o.kind != kind)
                fail(format("line %d mask %08x, but lane %d is at line %d with mask %08x", line, mask, o.lane, o.line, o.mask));
        }
        last();
        if (kind == SYNCWARP) meet(blk, [&](Lane& o) { return o.warp == l->warp && (mask >> o.lane & 1); });
        for (unsigned m = mask; m; m &= m - 1) base[__builtin_ctz(m)].state = READY;
        w.waiting &= ~mask;
    } else park(AT_WARP);
    if (kind == SYNCWARP) tsan_acquire(&l->out);
}
inline void* shared(const void* key, size_t n) {
    Quiet quiet;
    Block* b = blk;
    for (auto& s : b->shared) if (s.key == key) return s.p.get();
    b->shared.push_back({key, std::unique_ptr<unsigned char[]>(new unsigned char[n]), n});
    memset(b->shared.back().p.get(), 0xff, n);
    return b->shared.back().p.get();
}
inline Warp& warp() { return blk->warps[cur->warp]; }

inline void fiber_main() {
#ifdef SIMT_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &blk->sched.stack, &blk->sched.size);
#endif
    for (;;) {
        tsan_acquire(&blk->start);
        blk->fn(blk->arg);
        { Quiet quiet; tsan_release(&blk->end); cur->state = DONE; }  // a fiber may end here, but not inside a Quiet
        switch_to(cur->ctx, blk->sched);  // resumed for the next block
    }
}
inline void make_fiber(Context& c, unsigned char* stack, size_t i) {
    // Stacks start at different cache sets: at one stride they would evict each other.
    c.stack = stack; c.size = STACK - i % 61 * 320 / 64 * 64;
#ifdef SIMT_ASAN
    __asan_unpoison_memory_region(stack, STACK);
#endif
#ifdef SIMT_TSAN
    if (c.tsan) __tsan_destroy_fiber(c.tsan);
    c.tsan = __tsan_create_fiber(0);
#endif
#ifdef SIMT_USE_UCONTEXT
    getcontext(&c.uc); c.uc.uc_stack.ss_sp = stack; c.uc.uc_stack.ss_size = c.size; c.uc.uc_link = nullptr;
    makecontext(&c.uc, (void (*)())fiber_main, 0);
#else
    void** sp = (void**)(stack + c.size) - 2;  // rsp % 16 == 8 at entry, as after a call
    *sp = (void*)&fiber_main;
    for (int i = 0; i < 6; i++) *--sp = nullptr;
    c.sp = sp;
#endif
}
inline void run_block(Block& b, Order order, uint64_t& rng) {
    if (b.smem_bytes) memset(b.smem, 0xff, b.smem_bytes);  // NaN in f32, f16 and bf16
    for (auto& s : b.shared) memset(s.p.get(), 0xff, s.n);
    b.n_alive = b.n; b.at_block = 0;
    for (auto& q : b.named) q.arrived = 0;
    for (size_t w = 0; w < b.warps.size(); w++) {
        unsigned k = std::min<unsigned>(WARP, b.n - unsigned(w) * WARP);
        b.warps[w].alive = k == 32 ? ~0u : (1u << k) - 1; b.warps[w].waiting = 0;
    }
    for (auto& l : b.lanes) { l.state = READY; }
    tsan_release(&b.start);
    auto run_lane = [&](Lane& l) {
        cur = &l;
        switch_to(b.sched, l.ctx);
        if (l.state == DONE) {
            if (!l.copies.empty() && b.error.empty()) {
                b.error = format("thread (%u,%u,%u) ended before %zu of its copies", l.tid.x, l.tid.y, l.tid.z, l.copies.size());
                l.copies.clear();
            }
            b.warps[l.warp].alive &= ~(1u << l.lane); b.n_alive--;
            if (b.at_block && b.at_block == b.n_alive) release_block(&b);  // exited threads do not hold a barrier
        }
        return b.error.empty();
    };
    std::vector<int> ord(b.warps.size());
    for (size_t i = 0; i < ord.size(); i++) ord[i] = int(order == Order::Reverse ? ord.size() - 1 - i : i);
    while (b.n_alive) {
        bool progress = false;
        if (order == Order::Random)
            for (size_t i = ord.size(); i > 1; i--) { rng = rng * 6364136223846793005ull + 1442695040888963407ull; std::swap(ord[i - 1], ord[(rng >> 33) % i]); }
        for (int w : ord) {
            Lane* base = &b.lanes[size_t(w) * WARP]; int k = int(std::min<unsigned>(WARP, b.n - unsigned(w) * WARP));
            for (bool again = true; again;) {  // a warp runs until its lanes are at a block barrier or done
                again = false;
                int rot = order == Order::Random ? int(rng >> 40) % k : 0;
                for (int i = 0; i < k; i++) {
                    Lane& l = base[order == Order::Reverse ? k - 1 - i : (i + rot) % k];
                    if (l.state == READY) { again = progress = true; if (!run_lane(l)) throw Error(b.error); }
                }
            }
        }
        if (!progress) {
            std::string m = format("block (%u,%u,%u): deadlock;", b.block_idx.x, b.block_idx.y, b.block_idx.z);
            int shown = 0;
            static const char* what[] = {"ready", "warp collective", "__syncthreads", "named barrier", "done"};
            for (auto& l : b.lanes) if (l.state != DONE && shown++ < 4)
                m += format(" thread (%u,%u,%u) in %s at line %d,", l.tid.x, l.tid.y, l.tid.z, what[l.state], l.line);
            throw Error(m + format(" %u of %u threads alive", b.n_alive, b.n));
        }
    }
    tsan_acquire(&b.end);
}
}  // namespace simt
