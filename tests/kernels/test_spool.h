/* test_spool.h - buffers that go to a file and come back: every one as it was, whatever their number, written and read
   in turns; a file that is too short, one that cannot be written, and an end before the end.
   Next: spool.h. */
#ifndef TEST_SPOOL_H
#define TEST_SPOOL_H
#include <stdio.h>
#include "spool.h"
#include "builder.h"

enum { SPOOL_SLOTS = 24, SPOOL_BYTES = 4096 };

/* what is in buffer of slot k in round r */
static void spool_fill(unsigned char *to, int64_t slot, int64_t round) {
    for (int64_t k = 0; k < SPOOL_BYTES; k++) to[k] = (unsigned char)(slot * 31 + round * 7 + k % 251);
}

static int spool_next(fa_spool *s) {
    int state;
    while ((state = fa_spool_next(s)) == FA_SPOOL_LATER) {}
    return state;
}

static void test_spool_turns(int fd, int64_t nbuffers) {
    fa_transfer transfers[6 * SPOOL_SLOTS];
    unsigned char want[SPOOL_BYTES];
    char *buffers = malloc((size_t)nbuffers * SPOOL_BYTES);
    fa_spool s = {.fd = fd, .transfers = transfers, .buffers = buffers, .size = SPOOL_BYTES, .nbuffers = nbuffers};
    int64_t slots[6 * SPOOL_SLOTS], rounds[6 * SPOOL_SLOTS];
    for (int round = 0; round < 3; round++) {                /* all are written, and read from the last to the first */
        for (int64_t k = 0; k < 2 * SPOOL_SLOTS; k++, s.count++) {
            const int64_t write = k < SPOOL_SLOTS, slot = write ? k : 2 * SPOOL_SLOTS - 1 - k;
            slots[s.count] = slot;
            rounds[s.count] = round;
            transfers[s.count] = (fa_transfer){write, slot * SPOOL_BYTES, SPOOL_BYTES};
        }
    }
    EXPECT(fa_spool_begin(&s) == 0, "a thread");
    for (int64_t k = 0; k < s.count; k++) {
        EXPECT(spool_next(&s) == FA_SPOOL_READY, "transfer %d", (int)k);
        spool_fill(want, slots[k], rounds[k]);
        if (transfers[k].write) memcpy(fa_spool_buffer(&s), want, SPOOL_BYTES);
        else EXPECT(!memcmp(fa_spool_buffer(&s), want, SPOOL_BYTES), "slot %d, round %d", (int)slots[k],
                    (int)rounds[k]);
        fa_spool_pass(&s);
    }
    while (fa_spool_all(&s) == FA_SPOOL_LATER) {}
    fa_spool_end(&s);
    EXPECT(s.bytes[0] == 3 * SPOOL_SLOTS * SPOOL_BYTES && s.bytes[1] == s.bytes[0], "bytes");
    EXPECT(s.ns[0] > 0 && s.ns[1] > 0, "times");
    EXPECT(fa_spool_begin(&s) == 0, "again");                /* given up: the thread waits for a buffer */
    fa_spool_pass(&s);
    fa_spool_end(&s);
    free(buffers);
}

static void test_spool_fails(int fd, int64_t write, int error) {
    const fa_transfer transfers[] = {{write, 0, SPOOL_BYTES}, {0, 0, SPOOL_BYTES}};
    char buffer[SPOOL_BYTES] = {0};
    fa_spool s = {.fd = fd, .transfers = transfers, .count = 2, .buffers = buffer, .size = SPOOL_BYTES, .nbuffers = 1};
    int state;
    EXPECT(fa_spool_begin(&s) == 0, "a thread");
    if (write) fa_spool_pass(&s);
    while ((state = fa_spool_all(&s)) == FA_SPOOL_LATER) {}
    EXPECT(state == FA_SPOOL_FAILED && s.error == error && s.done == 0, "state %d, error %d", state, s.error);
    fa_spool_end(&s);
}

static void test_spool(void) {
    FILE *file = tmpfile();
    fa_spool none = {.count = 0};
    EXPECT(file != NULL, "a temporary file");
    if (!file) return;
    test_spool_fails(fileno(file), 0, FA_SPOOL_SHORT);       /* it is empty */
    for (int64_t nbuffers = 1; nbuffers <= 5; nbuffers++) test_spool_turns(fileno(file), nbuffers);
    EXPECT(ftruncate(fileno(file), 100) == 0, "a shorter file");
    test_spool_fails(fileno(file), 0, FA_SPOOL_SHORT);
    test_spool_fails(-1, 1, EBADF);
    EXPECT(fa_spool_begin(&none) == 0 && fa_spool_all(&none) == FA_SPOOL_READY, "nothing to be transferred");
    fa_spool_end(&none);
    fclose(file);
}
#endif
