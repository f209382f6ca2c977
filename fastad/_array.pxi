"""_array.pxi - the traced array: what stands for an ndarray while a function is recorded (included in _tape.pyx).

Owns: Array, which carries its concrete ndarray: NumPy decides on that one what is a view and what a copy.  Arrays that
share memory share a Storage.
Next: _storage.pxi (versions), _indexing.pxi (keys), numpy_api.py (methods and functions).
"""

cdef object matmul_ufunc = np.matmul


cdef object shape_of(x):
    """np.shape, without a detour through our own protocol."""
    if type(x) is Scalar:
        return ()
    return (<object>(<Array>x).c).shape if type(x) is Array else np.shape(x)


cdef inline int kind_rank(int dtype) noexcept:
    """bool, int, float: NumPy's same-kind rule lets a result be stored in an array of its kind or a later one."""
    return 0 if dtype == FA_BOOL else 1 if dtype == FA_I64 else 2


cdef object inplace(int op, Array a, object x):
    """a op= x: NumPy's same-kind rule, then a write through the view."""
    r = apply(op, (a, x))
    if r is NotImplemented:
        return r
    if is_complex(r):
        ufunc = primitives.resolve(ROWS[op])
        ufunc((<object>a.c).copy(), np.ones((), complex), out=(<object>a.c).copy())      # NumPy's error
    code = code_of(r)
    if kind_rank(code) > kind_rank(a.s.dtype):
        ufunc = ROWS[op].ufunc
        ufunc((<object>a.c).copy(), np.zeros((), DTYPES[code_of(x)]), out=(<object>a.c).copy())  # NumPy's error
        raise UnsupportedError(f"{here()}: {DTYPE_NAMES[a.s.dtype]} array {ROWS[op].name}= {DTYPE_NAMES[code]}")
    if shape_of(r) != (<object>a.c).shape:
        raise ValueError(f"non-broadcastable output operand with shape {(<object>a.c).shape} doesn't match the "
                         f"broadcast shape {shape_of(r)}")
    if a.s.row:                          # h[k] += x: what is read, added and put back
        owe(r)
        return r
    store(a, r)
    return a


cdef class Array:
    """A traced array: stands for an ndarray while a function is recorded."""

    __array_priority__ = 1e6
    __hash__ = None

    @property
    def __class__(self):
        return ndarray_type

    def __add__(a, b):
        return apply2(FA_ADD, a, b)

    def __radd__(b, a):
        return apply2(FA_ADD, a, b)

    def __sub__(a, b):
        return apply2(FA_SUBTRACT, a, b)

    def __rsub__(b, a):
        return apply2(FA_SUBTRACT, a, b)

    def __mul__(a, b):
        return apply2(FA_MULTIPLY, a, b)

    def __rmul__(b, a):
        return apply2(FA_MULTIPLY, a, b)

    def __truediv__(a, b):
        return apply2(FA_DIVIDE, a, b)

    def __rtruediv__(b, a):
        return apply2(FA_DIVIDE, a, b)

    def __floordiv__(a, b):
        return apply2(OP_FLOOR_DIVIDE, a, b)

    def __rfloordiv__(b, a):
        return apply2(OP_FLOOR_DIVIDE, a, b)

    def __mod__(a, b):
        return apply2(OP_REMAINDER, a, b)

    def __rmod__(b, a):
        return apply2(OP_REMAINDER, a, b)

    def __divmod__(a, b):
        return both(apply2(OP_FLOOR_DIVIDE, a, b), a, b)

    def __rdivmod__(b, a):
        return both(apply2(OP_FLOOR_DIVIDE, a, b), a, b)

    def __pow__(a, b, m):
        return power(a, b) if m is None else NotImplemented

    def __rpow__(b, a, m):
        return power(a, b) if m is None else NotImplemented

    def __matmul__(a, b):
        if not is_complex(b) and code_of(b) < 0 and not isinstance(b, (list, tuple)):
            return NotImplemented        # a sparse matrix knows better (sparse_products.py)
        return api().matmul(a, b)

    def __rmatmul__(b, a):
        return api().matmul(a, b)

    def __and__(a, b):
        return apply2(OP_AND, a, b)

    def __rand__(b, a):
        return apply2(OP_AND, a, b)

    def __or__(a, b):
        return apply2(OP_OR, a, b)

    def __ror__(b, a):
        return apply2(OP_OR, a, b)

    def __xor__(a, b):
        return apply2(OP_XOR, a, b)

    def __rxor__(b, a):
        return apply2(OP_XOR, a, b)

    def __lshift__(a, b):
        return apply2(OP_LSHIFT, a, b)

    def __rlshift__(b, a):
        return apply2(OP_LSHIFT, a, b)

    def __rshift__(a, b):
        return apply2(OP_RSHIFT, a, b)

    def __rrshift__(b, a):
        return apply2(OP_RSHIFT, a, b)

    def __neg__(self):
        return apply1(FA_NEGATIVE, self)

    def __pos__(self):
        return apply1(OP_POSITIVE, self)

    def __abs__(self):
        return apply1(FA_ABSOLUTE, self)

    def __invert__(self):
        return apply1(OP_INVERT, self)

    def __lt__(a, b):
        return apply2(FA_LESS, a, b)

    def __le__(a, b):
        return apply2(FA_LESS_EQUAL, a, b)

    def __gt__(a, b):
        return apply2(FA_GREATER, a, b)

    def __ge__(a, b):
        return apply2(FA_GREATER_EQUAL, a, b)

    def __eq__(a, b):
        if b is None or isinstance(b, (str, bytes)):
            return (<object>(<Array>a).c) == b
        return apply2(FA_EQUAL, a, b)

    def __ne__(a, b):
        if b is None or isinstance(b, (str, bytes)):
            return (<object>(<Array>a).c) != b
        return apply2(FA_NOT_EQUAL, a, b)

    def __iadd__(self, x):
        return inplace(FA_ADD, self, x)

    def __isub__(self, x):
        return inplace(FA_SUBTRACT, self, x)

    def __imul__(self, x):
        return inplace(FA_MULTIPLY, self, x)

    def __itruediv__(self, x):
        return inplace(FA_DIVIDE, self, x)

    def __ifloordiv__(self, x):
        return inplace(OP_FLOOR_DIVIDE, self, x)

    def __imod__(self, x):
        return inplace(OP_REMAINDER, self, x)

    def __ipow__(self, x):
        r = power(self, x)
        if is_complex(r) or kind_rank(code_of(r)) > kind_rank(self.s.dtype):
            return inplace(OP_POWER, self, x)
        return store_and_return(self, r)

    def __iand__(self, x):
        return inplace(OP_AND, self, x)

    def __ior__(self, x):
        return inplace(OP_OR, self, x)

    def __ixor__(self, x):
        return inplace(OP_XOR, self, x)

    def __ilshift__(self, x):
        return inplace(OP_LSHIFT, self, x)

    def __irshift__(self, x):
        return inplace(OP_RSHIFT, self, x)

    def __imatmul__(self, x):
        r = api().matmul(self, x)
        if len(shape_of(x)) < 2 or shape_of(r) != (<object>self.c).shape:
            c = (<object>self.c).copy()
            c @= concrete(x)             # NumPy's own error
            raise ValueError(f"{here()}: @= of shape {(<object>self.c).shape} gives shape {shape_of(r)}")
        return store_and_return(self, r)

    # -- Python consumes the value
    def __bool__(self):
        if cnp.PyArray_SIZE(self.c) != 1 or self.s.state != TRACED:
            return bool(self.c)          # NumPy's own error for more than one element
        return bool(only_element(self))

    def __float__(self):
        return float(self.c) if self.s.state != TRACED or cnp.PyArray_NDIM(self.c) else float(only_element(self))

    def __int__(self):
        return int(self.c) if self.s.state != TRACED or cnp.PyArray_NDIM(self.c) else int(only_element(self))

    def __index__(self):
        import operator
        if self.s.state != TRACED or cnp.PyArray_NDIM(self.c):
            return operator.index(self.c)
        return operator.index(only_element(self))

    def __complex__(self):
        raise UnsupportedError(f"{here()}: complex(x) gives a plain number; write x + 0j, or ad.peek(x) if a constant "
                               "is meant")

    def __array__(self, dtype=None, copy=None):
        if self.s.state != TRACED:
            return np.array(given_away(self), dtype=dtype, copy=copy)
        return to_foreign(self, self.c)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__" and not kwargs:
            code = UFUNC_OP.get(ufunc)
            if code is not None:
                return apply1(code, inputs[0]) if len(inputs) == 1 else called2(code, inputs[0], inputs[1]) \
                    if len(inputs) == 2 else apply(code, inputs)
            if ufunc is matmul_ufunc and type(inputs[0]) is not list and type(inputs[1]) is not list:
                return api().matmul(inputs[0], inputs[1])
        return api().ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func, types, args, kwargs):
        return api().function(func, types, args, kwargs)

    def __len__(self):
        return len(self.c)

    def __iter__(self):
        if cnp.PyArray_NDIM(self.c) == 0:
            raise TypeError("iteration over a 0-d array")
        return iter([self[i] for i in range(len(self.c))])

    def __contains__(self, x):
        return bool(api().method(self == x, "any")())

    def __getitem__(self, key):
        return get_item(self, key)

    def __setitem__(self, key, value):
        set_item(self, key, value)

    def __delitem__(self, key):
        raise ValueError("cannot delete array elements")

    def __repr__(self):
        return repr(self.c) if self.s.state != TRACED else f"traced({self.c!r})"

    def __str__(self):
        return str(self.c)

    def __format__(self, spec):
        return format(self.c, spec)

    def __copy__(self):
        return api().method(self, "copy")()

    def __deepcopy__(self, memo):
        return api().method(self, "copy")()

    def __reduce__(self):
        if self.s.state != TRACED:
            return np.array(self.c).__reduce__()
        raise TracerError(f"{here()}: a traced array cannot be pickled; use ad.peek(x)")

    @property
    def shape(self):
        return (<object>self.c).shape

    @shape.setter
    def shape(self, value):
        (<object>self.c).shape = value
        self.read_id = 0

    @property
    def ndim(self):
        return cnp.PyArray_NDIM(self.c)

    @property
    def size(self):
        return cnp.PyArray_SIZE(self.c)

    @property
    def dtype(self):
        return (<object>self.c).dtype

    @property
    def itemsize(self):
        return cnp.PyArray_ITEMSIZE(self.c)

    @property
    def nbytes(self):
        return (<object>self.c).nbytes

    @property
    def strides(self):
        return (<object>self.c).strides

    @property
    def flags(self):
        return (<object>self.c).flags

    @property
    def T(self):
        return new_array((<object>self.c).T, self.s)

    @property
    def mT(self):
        return new_array((<object>self.c).mT, self.s)

    @property
    def real(self):
        return self

    @property
    def imag(self):
        return np.zeros((<object>self.c).shape, (<object>self.c).dtype)

    @property
    def flat(self):
        """Iterator over the elements; indexing works as on the ravelled array."""
        return api().Flat(self)

    @flat.setter
    def flat(self, value):
        api().Flat(self)[:] = value

    @property
    def base(self):
        return None

    def __getattr__(self, name):
        return api().method(self, name)

    # -- define-by-run
    @property
    def grad(self):
        """Adjoint of a variable after `backward`; None before."""
        return None if self.leaf is None else self.leaf.grad

    @grad.setter
    def grad(self, value):
        if self.leaf is None:
            raise AdError("grad: only a variable (ad.variable) has a gradient")
        self.leaf.grad = None if value is None else real_value("grad", value, (<object>self.c).shape, True)

    def backward(self, seed=None, retain_graph=False):
        """Reverse sweep from this value: adds to `.grad` of every variable on which it depends."""
        open_door("backward")(self, seed, retain_graph)

    def assign(self, value):
        """Give a variable another value; what was computed from the old one is not touched."""
        if self.leaf is None:
            raise AdError("assign: only a variable (ad.variable) can be given another value")
        open_door("assign")(self, value)


cdef object store_and_return(Array a, r):
    store(a, r)
    return a


cdef object only_element(Array a):
    return element(a, (<char *>cnp.PyArray_DATA(a.c) - a.s.base) // fa_itemsize[a.s.dtype])
