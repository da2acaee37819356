// A launch: all blocks of a grid in turn, by name, with the argument array of cuLaunchKernel.
#pragma once

namespace simt {
struct Options { Order order = Order::Forward; uint64_t seed = 1; };
inline Block& pool() {  // fibers and stacks are kept between launches of an OS thread
    struct P { Block b; ~P() { if (b.stacks) munmap(b.stacks, b.n_stacks * STACK); } };
    static thread_local P p; return p.b;
}
template <class F> void launch(dim3 grid, dim3 block, size_t smem, Options opt, F&& f) {
#if defined(SIMT_ASAN) || defined(SIMT_TSAN)
    static std::mutex mu; std::lock_guard<std::mutex> g(mu);
#endif
    Quiet quiet;
    if (blk) throw Error("a kernel may not launch a kernel");
    Block& b = pool(); size_t n = size_t(block.x) * block.y * block.z;
    if (!n || n > 1024) throw Error(format("%zu threads per block", n));
    if (smem > 227 * 1024) throw Error(format("%zu bytes of dynamic shared memory", smem));
    if (b.n_stacks < n) {
        if (b.stacks) munmap(b.stacks, b.n_stacks * STACK);
        b.stacks = (unsigned char*)mmap(nullptr, n * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (b.stacks == MAP_FAILED) { b.stacks = nullptr; b.n_stacks = 0; throw Error("no memory for stacks"); }
        b.n_stacks = n; b.lanes.clear();
    }
    if (b.lanes.size() != n || !b.error.empty()) {
#ifdef SIMT_TSAN
        for (auto& l : b.lanes) if (l.ctx.tsan) { __tsan_destroy_fiber(l.ctx.tsan); l.ctx.tsan = nullptr; }
#endif
        b.lanes.assign(n, Lane{});
        for (size_t i = 0; i < n; i++) make_fiber(b.lanes[i].ctx, b.stacks + i * STACK, i);
    }
    for (size_t i = 0; i < n; i++) {
        Lane& l = b.lanes[i];
        l.tid = {unsigned(i % block.x), unsigned(i / block.x % block.y), unsigned(i / block.x / block.y)};
        l.lane = int(i % WARP); l.warp = int(i / WARP);
    }
    b.warps.resize((n + WARP - 1) / WARP);
    b.n = unsigned(n); b.grid = grid; b.block = block; b.smem_bytes = smem; b.error.clear(); b.shared.clear();
    // exactly as long as asked for, so that a sanitizer sees one byte too far
    std::unique_ptr<void, void (*)(void*)> mem(nullptr, free);
    if (smem) { void* p = nullptr; if (posix_memalign(&p, 1024, smem)) throw Error("no memory"); mem.reset(p); b.smem = (unsigned char*)p; }
    using Fn = std::remove_reference_t<F>;
    b.fn = [](void* p) { (*(Fn*)p)(); }; b.arg = (void*)&f;
    blk = &b;
#ifdef SIMT_TSAN
    b.sched.tsan = __tsan_get_current_fiber();
#endif
    struct Reset { ~Reset() { blk = nullptr; cur = nullptr; } } reset;
    uint64_t rng = opt.seed * 0x9E3779B97F4A7C15ull + 1, blocks = uint64_t(grid.x) * grid.y * grid.z;
    try {
        for (uint64_t i = 0; i < blocks; i++) {
            uint64_t j = opt.order == Order::Reverse ? blocks - 1 - i : i;
            b.block_idx = {unsigned(j % grid.x), unsigned(j / grid.x % grid.y), unsigned(j / grid.x / grid.y)};
            run_block(b, opt.order, rng);
        }
    } catch (...) { if (b.error.empty()) b.error = "failed"; throw; }  // fibers are stuck mid-kernel: rebuild them next time
}

// One letter a parameter, so that the host can compare its own list with the kernel's: a capital is
// memory that the kernel may write.
template <class T> struct Letter;
template <> struct Letter<uint32_t> { static constexpr char scalar = 'i', memory = 'u'; };
template <> struct Letter<uint64_t> { static constexpr char scalar = 'l', memory = 'k'; };
template <> struct Letter<float> { static constexpr char scalar = 'x', memory = 'f'; };
template <> struct Letter<double> { static constexpr char scalar = 'y', memory = 'd'; };
template <class T> constexpr char letter() {
    using Pointee = std::remove_pointer_t<T>; using Plain = std::remove_const_t<Pointee>;
    if constexpr (!std::is_pointer_v<T>) return Letter<T>::scalar;
    else return std::is_const_v<Pointee> ? Letter<Plain>::memory : char(Letter<Plain>::memory - 32);
}

using Thunk = void (*)(dim3, dim3, size_t, Options, void**);
struct Entry { const char* name; Thunk fn; std::string signature; };
inline std::vector<Entry>& registry() { static std::vector<Entry> r; return r; }
template <auto K> struct Caller;
template <class... A, void (*K)(A...)> struct Caller<K> {
    static std::string signature() { return {letter<A>()...}; }
    template <size_t... I> static void go(dim3 g, dim3 b, size_t s, Options o, void** a, std::index_sequence<I...>) {
        std::tuple<A...> t(*(A*)a[I]...);
        launch(g, b, s, o, [&] { K(std::get<I>(t)...); });
    }
    static void call(dim3 g, dim3 b, size_t s, Options o, void** a) { go(g, b, s, o, a, std::make_index_sequence<sizeof...(A)>()); }
};
struct Register { Register(const char* n, Thunk t, std::string s) { registry().push_back({n, t, s}); } };
#define SIMT_CAT2(a, b) a##b
#define SIMT_CAT(a, b) SIMT_CAT2(a, b)
#define SIMT_KERNEL(k) static simt::Register SIMT_CAT(simt_reg_, __COUNTER__)(#k, simt::Caller<&k>::call, simt::Caller<&k>::signature());
}  // namespace simt
