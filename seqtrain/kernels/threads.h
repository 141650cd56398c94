// Threads of torch's own pool.

#pragma once

// torch's own OpenMP runtime, found among what the process has loaded, so that no second pool of threads is started. Its
// functions are called by name, which works whichever compiler and flags made this file; without them all runs serially.
extern "C" {
void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned) __attribute__((weak));
int omp_get_thread_num() __attribute__((weak));
int omp_get_num_threads() __attribute__((weak));
}

namespace {

// Call work(0), ..., work(jobs - 1), side by side in a team of threads. The team is always of the size that torch's is: the
// runtime would end the threads that a smaller one leaves over, and start them again for torch.
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
