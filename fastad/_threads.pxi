"""_threads.pxi - how many threads share a large loop (included in _tape.pyx).

Owns: the number, and where it comes from when nobody has set it.
Next: _kernels/pool.h.
"""
cdef extern from "_kernels/pool.h" nogil:
    int fa_pool_threads()
    void fa_pool_set_threads(int n)
    int fa_pool_work_alone(int alone)


def set_num_threads(int n):
    """Let at most n threads share a sweep.

    Parameters
    ----------
    n : int
        At least 1.  Results do not depend on it, not in a single bit.

    Returns
    -------
    None

    Raises
    ------
    ValueError
        n is not positive.

    Notes
    -----
    At import it is the environment variable FASTAD_NUM_THREADS, else the number of processors that this process may
    use.  Loops that are too short to gain run on the caller's thread.  BLAS has threads of its own.

    Examples
    --------
    >>> import fastad as ad
    >>> before = ad.get_num_threads()
    >>> ad.set_num_threads(1)
    >>> ad.get_num_threads()
    1
    >>> ad.set_num_threads(before)
    """
    if n < 1:
        raise ValueError(f"set_num_threads: {n} threads; at least 1")
    fa_pool_set_threads(n)


def get_num_threads():
    """Threads that may share a sweep.

    Returns
    -------
    int
        At least 1; `set_num_threads` changes it.

    Examples
    --------
    >>> import fastad as ad
    >>> ad.get_num_threads() >= 1
    True
    """
    return fa_pool_threads()


def work_alone(bint alone):
    """Shall sweeps of this thread do without the others, which are busy?  Returns what held before."""
    return bool(fa_pool_work_alone(alone))


def threads_at_import():
    """From the environment, else as many as there are processors for this process."""
    given = os.environ.get("FASTAD_NUM_THREADS", "").strip()
    if given:
        if not given.isdecimal() or int(given) < 1:
            raise ValueError(f"FASTAD_NUM_THREADS is {given!r}; a positive number is meant")
        return int(given)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:                   # macOS, Windows
        return os.cpu_count() or 1


set_num_threads(min(threads_at_import(), 64))
