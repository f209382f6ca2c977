"""_loop_costs.pxi - what the steps of a loop cost, and what pays accordingly (included in _program.pyx).

Owns: the costs, measured; from which on threads share a loop; how large its blocks are.
Must not know: how a loop is described.
Next: _loop_writer.pxi.
"""

cdef int64_t worth_sharing = 8_000_000  # picoseconds of one thread: another one is there in 2 us if awake, in 5 if not


def share_from(int64_t picoseconds):
    """Let threads share loops of programs made from now on that take at least so long; for `benchmarks.sharing` alone.

    Parameters
    ----------
    picoseconds : int

    Returns
    -------
    int
        What it was.
    """
    global worth_sharing
    before = worth_sharing
    worth_sharing = picoseconds
    return before


cdef enum: FAR = 1 << 22                 # bytes computed since a value was used: the cache has others


cdef int64_t step_cost(const fa_finstr *f) noexcept:
    """Of one element, in picoseconds, where operands are in cache; measured with AVX-512, similar with AVX2."""
    cdef int64_t cost
    if f.kind == FA_FUSED_TWINS:
        return 1800
    if f.kind != FA_FUSED_ELEMENTWISE:
        return 120
    if f.step == FA_CHAIN_END:
        return 1800 if f.op >= FA_OWN_END else 200
    cost = 700 if f.step == FA_CHAIN_SQRT else 450 if f.step == FA_CHAIN_DIVIDE or f.step == FA_CHAIN_RECIPROCAL else 70
    return cost // 2 if f.din == FA_F32 else cost


cdef int64_t slot_cost(const fa_slot *slots, uint32_t k) noexcept:
    """Of one element, in picoseconds: what it takes to bring array k, which was not among those before, from the second
    cache.  Loops that follow each other in a time step are shared all, or none: else each would find its arrays in the
    cache of another processor."""
    cdef uint32_t j
    if slots[k].kind != FA_SLOT_ARRAY and slots[k].kind != FA_SLOT_ROWS:
        return 0
    for j in range(k):
        if slots[j].cell == slots[k].cell and (slots[j].kind == FA_SLOT_ARRAY or slots[j].kind == FA_SLOT_ROWS):
            return 0
    return 100 * fa_itemsize[slots[k].dtype] // 8


cdef int64_t block_of(const fa_fused *f) noexcept:
    """Elements of a block: as many as fill its buffers, whole rows of them.  Sums are of blocks of their own size."""
    cdef int64_t n = FA_BLOCK
    if f.naxes:
        return fa_axis_block(&f.axis)
    if f.nsums:
        return n
    if is_narrow_chain(f):
        n *= 2
    return n - n % f.row if 0 < f.row <= n else n


cdef bint is_narrow_chain(const fa_fused *f) noexcept:
    """One chain on half as many bytes an element as a block buffer has?"""
    cdef const fa_slot *slots = <const fa_slot *>f.slots
    cdef uint32_t k
    for k in range(f.nslots):
        if fa_itemsize[slots[k].dtype] > 4:
            return False
    return f.n == 1 and f.nweaves == 0 and (<const fa_finstr *>f.instr).kind == FA_FUSED_CHAIN
