// Fibers: one stack per CUDA thread of a block, and the switch between them.
#pragma once

namespace simt {
constexpr int WARP = 32;
constexpr size_t STACK = 256 * 1024;  // virtual; touched pages only
enum class Order { Forward, Reverse, Random };
struct Error : std::runtime_error { using std::runtime_error::runtime_error; };
inline std::string format(const char* f, ...) {
    char b[512]; va_list a; va_start(a, f); vsnprintf(b, sizeof b, f, a); va_end(a); return b;
}

// ---- fibers -------------------------------------------------------------------------------
struct Context {
#ifdef SIMT_USE_UCONTEXT
    ucontext_t uc;
#else
    void* sp = nullptr;
#endif
    const void* stack = nullptr; size_t size = 0;
    void* fake = nullptr; void* tsan = nullptr;
};
#ifndef SIMT_USE_UCONTEXT
__attribute__((naked, noinline)) static void swap_sp(void** /*rdi*/, void* /*rsi*/) {
    __asm__("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
            "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
            "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n popq %rcx\n jmp *%rcx\n");
}
#endif
static inline void switch_to(Context& from, Context& to) {
#ifdef SIMT_ASAN
    __sanitizer_start_switch_fiber(&from.fake, to.stack, to.size);
#endif
#ifdef SIMT_TSAN
    __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef SIMT_USE_UCONTEXT
    swapcontext(&from.uc, &to.uc);
#else
    swap_sp(&from.sp, to.sp);
#endif
#ifdef SIMT_ASAN
    __sanitizer_finish_switch_fiber(from.fake, nullptr, nullptr);
#endif
}
inline void tsan_release([[maybe_unused]] void* p) {
#ifdef SIMT_TSAN
    __tsan_release(p);
#endif
}
inline void tsan_acquire([[maybe_unused]] void* p) {
#ifdef SIMT_TSAN
    __tsan_acquire(p);
#endif
}

// Inside one, the thread sanitizer does not watch: the bookkeeping here is not the kernel's.
struct Quiet {
#ifdef SIMT_TSAN
    Quiet() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
    ~Quiet() { AnnotateIgnoreWritesEnd(__FILE__, __LINE__); AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#else
    Quiet() {}
#endif
};
}  // namespace simt
