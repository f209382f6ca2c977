"""_code.pxi - when a program becomes code of the processor (included in _program.pyx).

Owns: what that costs and what it saves, the switch.
Must not know: what the code does, where it is in memory.
Next: _kernels/machine_code.h (packed scalars), _kernels/chain_code.h (chains of fused loops).
"""

# Sweeps from which on code of packed scalars pays: making it takes 100 ns an operation, each sweep saves 0.2 to 0.3.
# FASTAD_MACHINE_CODE=0: none is made, of chains neither; =1: at once.
# Of many words none: code that runs once a sweep is four times as large as the lines of it that are fetched ahead, and
# whoever computes between two sweeps takes the cache (1.1 MB of code came back 130 us late, its words 25).
cdef enum: MOST_WORDS = 40_000
cdef int64_t CODE_PAYS = {"0": 1 << 62, "1": 1}.get(os.environ.get("FASTAD_MACHINE_CODE", ""), 400)

# A step on an element is faster by so many picoseconds as code.  To make it takes so many of a program and of each of
# its loops (most are of forms that are there already).
cdef enum: STEP_SAVES = 20
cdef int64_t PROGRAM_COSTS = 25_000_000, LOOP_COSTS = 1_000_000


def code_pays(int64_t sweeps):
    """Set from how many sweeps on programs get code of the processor; returns what it was (for tests).

    It is packed scalars that are meant: chains get it at once (1), never (more than any program runs), or when it saves
    more than it costs.
    """
    global CODE_PAYS
    before, CODE_PAYS = CODE_PAYS, sweeps
    return before


cdef int make_codes(Program p) noexcept:
    """A program has worked so many times: let it have the code that pays by now."""
    cdef uint32_t k
    cdef size_t words = 0
    cdef int64_t cost = PROGRAM_COSTS + LOOP_COSTS * len(p.loops)
    if p.chained and CODE_PAYS < 1 << 62 and (CODE_PAYS == 1 or p.worked >= cost // STEP_SAVES // p.chained):
        p.chained = 0
        p.chain_code = make_chain_code(p.fused, len(p.loops), &p.chain_bytes)
    if p.worked < CODE_PAYS:
        return 0
    for k in range(p.nruns):
        words += p.runs[k].nwords
    if 0 < words <= MOST_WORDS:
        p.machine_code = make_code(p.runs, p.nruns, p.ncells, &p.code_bytes)
    p.worked = -1
    return 0
