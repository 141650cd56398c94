// Scratch memory of a thread, reused from call to call.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

// Scratch memory for one call, kept for the next call. After a first call the total size is known, and all memory comes
// from one block. The block uses huge pages where the system has them: without, kernels are 10 to 20 % slower. Under the
// address sanitizer each piece is a block of its own, so that an access past its end is detected.
class Arena {
  public:
    ~Arena() { release(); }

    // Free all pieces for the next call.
    void reset() {
        const size_t size = total;
        if (blocks.size() != 1 || CHECKED) release();
        if (blocks.empty() && size && !CHECKED) grow(size);
        used = total = 0;
    }

    float* floats(long count) {
        const size_t size = (count * sizeof(float) + 127) / 64 * 64;  // so that pieces never share a cache line
        total += size;
        if (CHECKED || blocks.empty() || used + size > blocks.back().size) grow(CHECKED ? count * sizeof(float) : size);
        float* place = (float*)(blocks.back().start + used);
        used += size;
        return place;
    }

  private:
    static constexpr size_t HUGE_PAGE = 1 << 21;
#if defined(__SANITIZE_ADDRESS__)
    static constexpr bool CHECKED = true;
#else
    static constexpr bool CHECKED = false;
#endif
    struct Block {
        char *start, *taken;
        size_t size;
    };
    std::vector<Block> blocks;
    size_t used = 0, total = 0;

    void grow(size_t size) {
        Block block{nullptr, nullptr, size};
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
        block.size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        void* taken = mmap(nullptr, block.size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (taken == MAP_FAILED) abort();
        block.taken = (char*)taken;
        block.start = (char*)(((uintptr_t)taken + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
        madvise(block.start, block.size, MADV_HUGEPAGE);
#else
        void* taken = nullptr;
        if (posix_memalign(&taken, 64, size + 1)) abort();
        block.start = block.taken = (char*)taken;
#endif
        blocks.push_back(block);
        used = 0;
    }

    void release() {
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
        for (const Block& block : blocks) munmap(block.taken, block.size + HUGE_PAGE);
#else
        for (const Block& block : blocks) free(block.taken);
#endif
        blocks.clear();
    }
};

}  // namespace
