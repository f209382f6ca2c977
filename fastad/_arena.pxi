"""_arena.pxi - where arrays may lie: free blocks of an arena that is only planned (included in _program.pyx).

Owns: best fit with merging of free neighbours.  Must not know: whose the blocks are.
A long time loop takes and gives thousands of times: the free blocks stand in two sorted vectors of C.
Next: _memory_plan.pxi (who takes and gives), _kernels/arena.h (the memory itself).
"""

ctypedef struct Block:
    int64_t size, offset


cdef inline bint smaller(const Block *a, const Block *b) noexcept:
    return a.size < b.size or (a.size == b.size and a.offset < b.offset)


@cython.final
cdef class Arena:
    """Best fit; `size` is the high-water mark."""
    cdef readonly int64_t size
    cdef Block *fits                     # the free blocks by size, then offset
    cdef Block *lies                     # the same by offset
    cdef size_t n, cap

    def __dealloc__(self):
        free(self.fits)
        free(self.lies)

    cpdef int64_t take(self, int64_t need) except -1:
        """Offset of `need` bytes."""
        cdef Block wanted = Block(need, 0)
        cdef size_t k = self.fitting(&wanted)
        if k < self.n:
            wanted = self.fits[k]
            self.remove(wanted)
            if wanted.size > need:
                self.insert(Block(wanted.size - need, wanted.offset + need))
        else:
            wanted.offset = self.size
            if self.n and self.lies[self.n - 1].offset + self.lies[self.n - 1].size == self.size:
                wanted = self.lies[self.n - 1]               # the last block is free: let it grow
                self.remove(wanted)
            self.size = wanted.offset + need
        return wanted.offset

    cpdef int give(self, int64_t size, int64_t offset) except -1:
        """Take back `size` bytes."""
        cdef Block given = Block(size, offset)
        cdef Block other
        cdef size_t k = self.lying(offset)
        if k < self.n and self.lies[k].offset == offset + size:
            other = self.lies[k]
            self.remove(other)
            given.size += other.size
        if k and self.lies[k - 1].offset + self.lies[k - 1].size == offset:
            other = self.lies[k - 1]
            self.remove(other)
            given = Block(given.size + other.size, other.offset)
        return self.insert(given)

    @property
    def free(self):
        """[(size, offset)] of the free blocks, the smallest first."""
        return [(self.fits[k].size, self.fits[k].offset) for k in range(self.n)]

    cdef int insert(self, Block b) except -1:
        cdef size_t k
        if self.n == self.cap:
            self.cap = max(64, 2 * self.cap)
            self.fits = <Block *>realloc(self.fits, self.cap * sizeof(Block))
            self.lies = <Block *>realloc(self.lies, self.cap * sizeof(Block))
            if self.fits == NULL or self.lies == NULL:
                raise MemoryError("fastad: no memory to plan that of a program")
        k = self.fitting(&b)
        memmove(&self.fits[k + 1], &self.fits[k], (self.n - k) * sizeof(Block))
        self.fits[k] = b
        k = self.lying(b.offset)
        memmove(&self.lies[k + 1], &self.lies[k], (self.n - k) * sizeof(Block))
        self.lies[k] = b
        self.n += 1
        return 0

    cdef void remove(self, Block b) noexcept:
        cdef size_t k = self.fitting(&b)
        self.n -= 1
        memmove(&self.fits[k], &self.fits[k + 1], (self.n - k) * sizeof(Block))
        k = self.lying(b.offset)
        memmove(&self.lies[k], &self.lies[k + 1], (self.n - k) * sizeof(Block))

    cdef size_t fitting(self, const Block *b) noexcept:
        """The first block that is no smaller than b."""
        cdef size_t low = 0, high = self.n, k
        while low < high:
            k = (low + high) // 2
            if smaller(&self.fits[k], b):
                low = k + 1
            else:
                high = k
        return low

    cdef size_t lying(self, int64_t offset) noexcept:
        """The first block that is not before an offset."""
        cdef size_t low = 0, high = self.n, k
        while low < high:
            k = (low + high) // 2
            if self.lies[k].offset < offset:
                low = k + 1
            else:
                high = k
        return low
