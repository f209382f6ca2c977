/* Threads for the yardsticks: one function over the parts of a range, and a barrier for loops in time.
 *
 * Owns: creating and joining threads (some 20 us, so for work of a millisecond and more).  Must not know: any model.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_THREADS = 64 };

typedef void (*part_function)(void *context, int part, int parts);
typedef struct { part_function run; void *context; int part, parts; } part_task;

static void *run_part(void *argument)
{
    part_task *task = argument;
    task->run(task->context, task->part, task->parts);
    return 0;
}

/* run(context, 0 .. parts-1, parts), the first on this thread. */
static void in_parts(part_function run, void *context, int parts)
{
    pthread_t thread[MOST_THREADS];
    part_task task[MOST_THREADS];
    if (parts > MOST_THREADS) parts = MOST_THREADS;
    for (int p = 1; p < parts; p++) {
        task[p] = (part_task){run, context, p, parts};
        if (pthread_create(&thread[p], 0, run_part, &task[p])) abort();     /* the others would wait for it */
    }
    run(context, 0, parts);
    for (int p = 1; p < parts; p++) pthread_join(thread[p], 0);
}

static long part_start(long n, int part, int parts) { return n * part / parts; }

/* All parts meet here.  It spins: between two steps of a few microseconds there is no time to sleep.  Only where another
 * process has the processor of a missing part is it better to sleep (to yield is not enough: that took seconds).
 */
typedef struct { atomic_int arrived, generation; } barrier;

static void wait_for_all(barrier *b, int parts)
{
    if (parts == 1) return;
    int generation = atomic_load(&b->generation);
    if (atomic_fetch_add(&b->arrived, 1) == parts - 1) {
        atomic_store(&b->arrived, 0);
        atomic_fetch_add(&b->generation, 1);
    } else
        for (long spins = 0; atomic_load(&b->generation) == generation; spins++)
            if (spins > 20000) usleep(20);
}
