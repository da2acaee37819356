// The C entry points of the shared object that tests load. Included once, after all kernels.
#pragma once

// Runs a kernel. `signature` is the host's list of arguments, one letter each. Returns 0, or -1 with
// a message.
extern "C" __attribute__((visibility("default"))) int simt_launch(const char* name, const unsigned* grid, const unsigned* block, size_t smem, void** args,
                           const char* signature, int order, uint64_t seed, char* err, size_t err_len) {
    try {
        for (auto& e : simt::registry()) if (!strcmp(e.name, name)) {
            if (e.signature != signature)
                throw simt::Error(simt::format("%s takes (%s), got (%s)", name, e.signature.c_str(), signature));
            e.fn(dim3(grid[0], grid[1], grid[2]), dim3(block[0], block[1], block[2]), smem, {simt::Order(order), seed}, args);
            return 0;
        }
        throw simt::Error(simt::format("no kernel named %s", name));
    } catch (const std::exception& e) { snprintf(err, err_len, "%s", e.what()); return -1; }
}

// Kernel `i` as "name signature", or null past the last.
extern "C" __attribute__((visibility("default"))) const char* simt_kernel(size_t i) {
    static thread_local std::string line;
    if (i >= simt::registry().size()) return nullptr;
    line = std::string(simt::registry()[i].name) + " " + simt::registry()[i].signature;
    return line.c_str();
}
