"""_complex.pxi - how the heart tells complex values from its own (included in _tape.pyx).

Owns: Complex, the base of what stands for a complex number or array: two real values that are traced as usual.
The heart has no complex dtype; what it meets of one it hands to numpy_api.py.
Must not know: what is done with complex values (complex_values.py and its neighbours).
"""
from cpython.complex cimport PyComplex_Check


cdef class Complex:
    """A complex number or array: its real and its imaginary part.

    Attributes
    ----------
    re, im : Array, Scalar or float
        The parts; of an array they are arrays of its shape.
    pairs : Array or None
        The array of both in the memory layout of complex128 or complex64, one more axis of length 2, of which re and im
        are views.
    """


cdef bint is_complex(object x) except -1:
    """Is x a complex number or array, ours or another's?"""
    if type(x) is Array or type(x) is Scalar or PyFloat_Check(x) or PyLong_CheckExact(x):
        return False
    if PyComplex_Check(x) or isinstance(x, Complex):
        return True
    if cnp.PyArray_Check(x):
        return cnp.PyTypeNum_ISCOMPLEX(cnp.PyArray_TYPE(<cnp.ndarray>x))
    return isinstance(x, generic_type) and x.dtype.kind == "c"


def complex_among(*xs):
    """Is there a complex number or array among xs, in lists and tuples too?"""
    for x in xs:
        if type(x) is list or type(x) is tuple:
            if complex_among(*x):
                return True
        elif is_complex(x):
            return True
    return False


cdef object plain_complex(array, bint captured):
    """A complex ndarray as a recordable one while this thread records; one of another dtype as it is."""
    if array.dtype.num not in (cnp.NPY_CDOUBLE, cnp.NPY_CFLOAT) or current() is None or numpy_api is None:
        return array
    return numpy_api.recordable_complex(array, captured)


cdef object complex_row(int op, tuple xs):
    """A row of the table on complex operands."""
    return numpy_api.complex_ufunc(ROWS[op].name if op == FA_WHERE else primitives.resolve(ROWS[op]), xs)
