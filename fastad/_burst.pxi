"""_burst.pxi - several steps of a loop over numbers run as one straight piece of code (included in _scan.pyx).

Owns: `Piece`, what scan_bursts.py has planned as the kernel wants it; where the state is before and after.
Must not know: which loops are run so (scan_bursts.py), how a piece is run (_kernels/burst.h).
Next: scan_bursts.py.
"""

cdef enum: SHORT = 8                     # instructions that may be too few to be packed


@cython.final
cdef class Piece:
    """A program of some steps, and what moves before and after it."""
    cdef Program program
    cdef fa_burst b
    cdef fa_stream *streams
    cdef fa_column *columns
    cdef uint32_t *cells
    cdef uint32_t *fixed                 # cells of the fixed inputs

    def __init__(self, Program p, plan, Scan scan):
        cdef uint32_t n = 0, k
        cdef int nc = scan.ncarry, nfixed = <int>len(scan.sources) - scan.ncarry - scan.nslice
        self.program = p
        self.streams = <fa_stream *>calloc(len(plan.ins) + len(plan.kept) + 1, sizeof(fa_stream))
        self.columns = <fa_column *>calloc(len(plan.outs) + 1, sizeof(fa_column))
        self.cells = <uint32_t *>calloc(2 * nc + nfixed + plan.steps * len(plan.outs) + 1, sizeof(uint32_t))
        if self.streams == NULL or self.columns == NULL or self.cells == NULL:
            raise MemoryError("fastad: no memory to prepare a scan")
        for k, s in enumerate((*plan.ins, *plan.kept)):
            self.streams[k] = fa_stream(s.operand, s.array, s.cell, s.width, 8 * s.offset, 8 * s.stride)
            if s.array:
                item = fa_itemsize[AVALS[p.cell_aval[s.cell]].dtype]
                self.streams[k].offset, self.streams[k].stride = item * s.offset, item * s.stride
        for k in range(nc):
            self.cells[n + k] = p.cell[<uint32_t>p.tape.inputs[k]]
            self.cells[n + nc + k] = p.cell[<uint32_t>p.tape.outputs[plan.next[k]]]
        n = 2 * nc
        self.fixed = self.cells + n
        for k in range(nfixed):
            self.cells[n + k] = p.cell[<uint32_t>p.tape.inputs[nc + k]]
        n += nfixed
        for k, c in enumerate(plan.outs):
            self.columns[k] = fa_column(self.cells + n, 8 * c.offset, 8 * c.stride)
            for i in c.values:
                self.cells[n] = p.cell[<uint32_t>p.tape.outputs[i]]
                n += 1
        self.b = fa_burst(&p.runs[p.arg[0]], plan.steps, p.count, nc, len(plan.ins), len(plan.kept), len(plan.outs),
                          scan.reverse, self.cells, self.cells + nc, self.streams, self.streams + len(plan.ins),
                          self.columns)

    def __dealloc__(self):
        free(self.streams)
        free(self.columns)
        free(self.cells)


cdef Piece piece_of(Scan scan):
    """The loop in pieces; None where it is no loop over numbers, or its steps are more than packed code."""
    from fastad import scan_bursts
    cdef Program p = scan.program
    if p.n > SHORT and not packed(p):
        return None
    plan = scan_bursts.burst(scan)
    if plan is None:
        return None
    p = Program(plan.tape, False, (), None, plan.own)
    return Piece(p, plan, scan) if packed(p) else None


cdef bint packed(Program p) noexcept:
    return p.n == 1 and p.op[0] == FA_RUN
