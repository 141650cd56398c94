// Parallel loops on the threads of torch's own pool.

#pragma once

// torch's own OpenMP runtime, which the process has already loaded: no second pool of threads is started. The functions are
// weak symbols, so this works with any compiler and flags. Without the runtime everything runs serially.
extern "C" {
void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned) __attribute__((weak));
int omp_get_thread_num() __attribute__((weak));
int omp_get_num_threads() __attribute__((weak));
}

namespace {

// Call work(0), ..., work(jobs - 1) in parallel in a team of threads. The team always has the size of torch's: for a smaller
// team the runtime would end the spare threads, and start them again for torch.
template <class Work>
void parallel(long threads, long jobs, Work work) {
    struct Team {
        long jobs;
        Work* work;
    } team{jobs, &work};
    if (threads < 2 || !GOMP_parallel || !omp_get_thread_num || !omp_get_num_threads) {
        for (long job = 0; job < jobs; job++) work(job);
        return;
    }
    auto member = [](void* data) {
        const Team& team = *(Team*)data;
        for (long job = omp_get_thread_num(); job < team.jobs; job += omp_get_num_threads()) (*team.work)(job);
    };
    GOMP_parallel(member, &team, (unsigned)threads, 0);
}

}  // namespace
