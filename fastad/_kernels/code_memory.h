/* code_memory.h - memory in which a processor runs code that was made here.
   Owns: its pages.  Must not know: what the code does (machine_code.h, chain_code.h).
   FA_MAKES_CODE: is there a processor and a system for which code is made at all? */
#ifndef FASTAD_CODE_MEMORY_H
#define FASTAD_CODE_MEMORY_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__linux__) || defined(__APPLE__))
#include <sys/mman.h>
#include <unistd.h>
#include "scalar.h"
#define FA_MAKES_CODE 1

FA_INLINE size_t fa_whole_pages(size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n + page - 1) / page * page;
}

/* The bytes where a processor may run them, never writable at that time; NULL where the system forbids it. */
FA_FN char *fa_runnable(const uint8_t *bytes, size_t n) {
    char *memory = mmap(NULL, fa_whole_pages(n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    memcpy(memory, bytes, n);
    if (mprotect(memory, fa_whole_pages(n), PROT_READ | PROT_EXEC) == 0) return memory;
    munmap(memory, fa_whole_pages(n));
    return NULL;
}

FA_FN void fa_code_free(char *memory, size_t bytes) {
    if (memory) munmap(memory, fa_whole_pages(bytes));
}

#else
#include "scalar.h"
#define FA_MAKES_CODE 0
FA_FN void fa_code_free(char *memory, size_t bytes) { (void)memory, (void)bytes; }
#endif
#endif
