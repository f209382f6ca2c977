"""_variable.pxi - what the user's code sees while it is recorded: traced scalars and arrays (included in _tape.pyx).

Owns: Scalar, Storage, Array, and `apply`, which records and computes one elementwise primitive.
A Scalar is immutable and stands for a np.float64 (np.int64, np.bool_).  An Array carries its concrete ndarray, and
NumPy decides on that one what is a view and what a copy; arrays that share memory share a Storage, whose current SSA
version reads take and writes advance.  The recorder computes with the executor's kernels on contiguous operands, so
that a replay gives the same bits.
Must not know: NumPy's function names (numpy_api.py), indexing (_indexing.pxi).
"""
import numbers

cdef enum:
    PLAIN            # nothing traced in it: the concrete memory says all
    CAPTURED         # memory of the user's, from outside the recording
    TRACED

ctypedef const fa_aval *fa_aval_p
ctypedef char *charp

ctypedef struct operand:
    uint32_t id
    uint32_t aval
    char *data
    fa_cell cell

_local = threading.local()
cdef object local = _local


def recordings():
    """Stack of this thread's open recordings."""
    stack = getattr(local, "stack", None)
    if stack is None:
        stack = local.stack = []
    return stack


cdef Tape current():
    cdef list stack = recordings()
    return <Tape>stack[-1] if stack else None


def current_tape():
    """The innermost open recording of this thread, or None."""
    return current()


def every_line(bint wanted):
    """Shall recordings that this thread opens from now on remember the line of every scalar too?  Returns what was."""
    was = getattr(local, "every_line", False)
    local.every_line = wanted
    return was


def open_recording():
    """Begin to record in this thread; returns the new tape."""
    cdef Tape t = Tape()
    t.every_line = getattr(local, "every_line", False)
    t.parent = current()
    t.owner = PyThreadState_Get()
    recordings().append(t)
    return t


def close_recording(Tape t):
    """End the innermost recording; t must be it."""
    if recordings()[-1] is not t:
        raise InternalError("recordings were closed out of order")
    recordings().pop()
    return t.finish()


cdef int check_open(Tape t, object x) except -1:
    if t.owner != PyThreadState_Get():
        why = "from another thread" if t.owner != NULL else "after its recording had ended"
        born = format_location(t.recorder if t.recorder is not None else None)
        raise EscapedTracerError(
            f"{here()}: a traced value ({value_text(x)}) was used {why}. It was born in the recording of "
            f"{getattr(t, 'signature', None) or 'a function'}{'' if born == '?' else ' at ' + born}. Return what "
            "you need from the function, or keep ad.peek(value), a plain number.")
    return 0


cdef str value_text(object x):
    if type(x) is Scalar:
        return repr((<Scalar>x).number())
    c = (<Array>x).c
    return f"array of shape {(<object>c).shape}"


cdef object error_hint = None


def set_error_hint(function):
    """Let a function without arguments add a sentence to errors about leaking values (interception.py does)."""
    global error_hint
    error_hint = function


cdef object hint():
    return "" if error_hint is None else error_hint()


# ---- the traced scalar ---------------------------------------------------------------------------------------------
cdef inline Scalar new_scalar(Tape t, uint32_t id, int dtype, fa_cell v):
    cdef Scalar s = Scalar.__new__(Scalar)
    s.tape = t
    s.id = id
    s.v = v
    s.dt = dtype
    s.weak = 0
    return s


cdef inline object arith(int op, object l, object r):
    """One of + - * / on float64 scalars, quickly; everything else by `apply`."""
    cdef Scalar x, y
    cdef Tape t
    cdef double a, b
    cdef uint32_t i, j
    cdef fa_cell v
    if type(l) is Scalar:
        x = <Scalar>l
        t = x.tape
        if x.dt == FA_F64 and t.owner == PyThreadState_Get():
            a = x.v.f
            i = x.id
            if type(r) is Scalar:
                y = <Scalar>r
                if y.dt == FA_F64 and y.tape is t:
                    v.f = fa_scalar_f64(op, a, y.v.f)
                    return new_scalar(t, t.push(op, FA_AVAL_F64, i, y.id), FA_F64, v)
            elif PyFloat_Check(r) or PyLong_CheckExact(r):
                b = PyFloat_AS_DOUBLE(r) if PyFloat_Check(r) else PyLong_AsDouble(r)
                j = t.const_f64(b)
                v.f = fa_scalar_f64(op, a, b)
                return new_scalar(t, t.push(op, FA_AVAL_F64, i, j), FA_F64, v)
    elif PyFloat_Check(l) or PyLong_CheckExact(l):
        y = <Scalar>r
        t = y.tape
        if y.dt == FA_F64 and t.owner == PyThreadState_Get():
            a = PyFloat_AS_DOUBLE(l) if PyFloat_Check(l) else PyLong_AsDouble(l)
            i = t.const_f64(a)
            v.f = fa_scalar_f64(op, a, y.v.f)
            return new_scalar(t, t.push(op, FA_AVAL_F64, i, y.id), FA_F64, v)
    return apply2(op, l, r)


cdef inline object compare(int op, object l, object r):
    """A comparison of float64 scalars, quickly."""
    cdef Scalar x
    cdef Tape t
    cdef double b
    cdef uint32_t j
    cdef fa_cell v
    if type(l) is Scalar:
        x = <Scalar>l
        t = x.tape
        if x.dt == FA_F64 and t.owner == PyThreadState_Get():
            if type(r) is Scalar and (<Scalar>r).dt == FA_F64 and (<Scalar>r).tape is t:
                b = (<Scalar>r).v.f
                j = (<Scalar>r).id
            elif PyFloat_Check(r) or PyLong_CheckExact(r):
                b = PyFloat_AS_DOUBLE(r) if PyFloat_Check(r) else PyLong_AsDouble(r)
                j = t.const_f64(b)
            else:
                return apply2(op, l, r)
            v.i = compare_f64(op, x.v.f, b)
            return new_scalar(t, t.push(op, FA_AVAL_BOOL, x.id, j), FA_BOOL, v)
    return apply2(op, l, r)


cdef inline bint compare_f64(int op, double a, double b) noexcept nogil:
    if op == FA_LESS:
        return a < b
    if op == FA_LESS_EQUAL:
        return a <= b
    if op == FA_GREATER:
        return a > b
    if op == FA_GREATER_EQUAL:
        return a >= b
    if op == FA_EQUAL:
        return a == b
    return a != b


cdef object ndarray_type = np.ndarray
cdef object generic_type = np.generic
cdef dict UFUNC_OP = {}                  # ufunc -> opcode, filled from the table
cdef object numpy_api = None             # the module, imported on first need (it imports us)


cdef object api():
    global numpy_api
    if numpy_api is None:
        from fastad import numpy_api as module
        numpy_api = module
    return numpy_api


@cython.final
@cython.freelist(8192)
cdef class Scalar:
    """A traced number: stands for a np.float64, np.int64 or np.bool_ while a function is recorded."""

    __array_priority__ = 1e6
    shape = ()
    ndim = 0
    size = 1
    strides = ()

    def __add__(l, r):
        return arith(FA_ADD, l, r)

    def __radd__(r, l):
        return arith(FA_ADD, l, r)

    def __sub__(l, r):
        return arith(FA_SUBTRACT, l, r)

    def __rsub__(r, l):
        return arith(FA_SUBTRACT, l, r)

    def __mul__(l, r):
        return arith(FA_MULTIPLY, l, r)

    def __rmul__(r, l):
        return arith(FA_MULTIPLY, l, r)

    def __truediv__(l, r):
        return arith(FA_DIVIDE, l, r)

    def __rtruediv__(r, l):
        return arith(FA_DIVIDE, l, r)

    def __neg__(self):
        return apply1(FA_NEGATIVE, self)

    def __pos__(self):
        return apply1(OP_POSITIVE, self)

    def __abs__(self):
        return apply1(FA_ABSOLUTE, self)

    def __invert__(self):
        return apply1(OP_INVERT, self)

    def __pow__(l, r, m):
        return power(l, r)

    def __rpow__(r, l, m):
        return power(l, r)

    def __floordiv__(l, r):
        return apply2(OP_FLOOR_DIVIDE, l, r)

    def __rfloordiv__(r, l):
        return apply2(OP_FLOOR_DIVIDE, l, r)

    def __mod__(l, r):
        return apply2(OP_REMAINDER, l, r)

    def __rmod__(r, l):
        return apply2(OP_REMAINDER, l, r)

    def __divmod__(l, r):
        return apply2(OP_FLOOR_DIVIDE, l, r), apply2(OP_REMAINDER, l, r)

    def __rdivmod__(r, l):
        return apply2(OP_FLOOR_DIVIDE, l, r), apply2(OP_REMAINDER, l, r)

    def __and__(l, r):
        return apply2(OP_AND, l, r)

    def __rand__(r, l):
        return apply2(OP_AND, l, r)

    def __or__(l, r):
        return apply2(OP_OR, l, r)

    def __ror__(r, l):
        return apply2(OP_OR, l, r)

    def __xor__(l, r):
        return apply2(OP_XOR, l, r)

    def __rxor__(r, l):
        return apply2(OP_XOR, l, r)

    def __lshift__(l, r):
        return apply2(OP_LSHIFT, l, r)

    def __rlshift__(r, l):
        return apply2(OP_LSHIFT, l, r)

    def __rshift__(l, r):
        return apply2(OP_RSHIFT, l, r)

    def __rrshift__(r, l):
        return apply2(OP_RSHIFT, l, r)

    def __matmul__(l, r):
        raise ValueError("matmul: a scalar operand is not allowed; use *")

    def __lt__(l, r):
        return compare(FA_LESS, l, r)

    def __le__(l, r):
        return compare(FA_LESS_EQUAL, l, r)

    def __gt__(l, r):
        return compare(FA_GREATER, l, r)

    def __ge__(l, r):
        return compare(FA_GREATER_EQUAL, l, r)

    def __eq__(l, r):
        if r is None or isinstance(r, (str, bytes)):
            return False
        return compare(FA_EQUAL, l, r)

    def __ne__(l, r):
        if r is None or isinstance(r, (str, bytes)):
            return True
        return compare(FA_NOT_EQUAL, l, r)

    # -- Python consumes the value: a guard, or an error
    def __bool__(self):
        cdef Scalar b = self
        check_open(self.tape, self)
        if self.dt == FA_F64:
            b = <Scalar>apply2(FA_NOT_EQUAL, self, 0.0)
        self.tape.add_guard(b.id, b.v.i, "bool()")
        return b.v.i != 0

    def __index__(self):
        if self.dt == FA_F64:
            raise TypeError("'numpy.float64' object cannot be interpreted as an integer")
        check_open(self.tape, self)
        if self.dt == FA_BOOL:
            raise TypeError("'numpy.bool' object cannot be interpreted as an integer")
        self.tape.add_guard(self.id, self.v.i, "int()")
        return self.v.i

    def __int__(self):
        cdef Scalar i = self
        check_open(self.tape, self)
        if self.dt == FA_F64:
            if not isfinite(self.v.f):
                return int(self.v.f)     # Python's own error
            i = <Scalar>cast(self, FA_I64)
        self.tape.add_guard(i.id, i.v.i, "int()")
        return i.v.i

    def __trunc__(self):
        return self.__int__()

    def __float__(self):
        check_open(self.tape, self)
        if self.tape.is_active(self.id):
            raise TracerError(
                f"{here()}: float() of a traced number on which the derivative depends, or its storage in a plain "
                "ndarray, list of floats or C function. Keep it as it is; fill arrays made with np.zeros (called as "
                "np.zeros, inside the function), use np.sin instead of `from math import sin`, and ad.peek(x) to "
                f"print.{hint()}")
        self.tape.add_guard(self.id, self.v.i, "float()")
        return <double>self.number()

    def __complex__(self):
        raise UnsupportedError(f"{here()}: complex numbers are not recorded yet")

    def __hash__(self):
        check_open(self.tape, self)
        if self.tape.is_active(self.id):
            raise TracerError(
                f"{here()}: a traced number on which the derivative depends was hashed (set, dict key, lru_cache). "
                "A cache keyed by it would be stale at the next point; pass ad.peek(x) if that is meant.")
        self.tape.add_guard(self.id, self.v.i, "hash()")
        return hash(self.number())

    def __round__(self, ndigits=None):
        if ndigits is None:
            return int(apply1(OP_RINT, self))
        scale = 10.0 ** ndigits
        return apply1(OP_RINT, self * scale) / scale

    def __floor__(self):
        return cast(apply1(OP_FLOOR, self), FA_I64)

    def __ceil__(self):
        return cast(apply1(OP_CEIL, self), FA_I64)

    cdef object number(self):
        return number_of(self.v, self.dt)

    def __repr__(self):
        return f"traced({self.number()!r})"

    def __str__(self):
        return str(self.number())

    def __format__(self, spec):
        return format(self.number(), spec)

    def __array__(self, dtype=None, copy=None):
        return to_foreign(self, np.asarray(self.number()))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__" and not kwargs:
            code = UFUNC_OP.get(ufunc)
            if code is not None:
                return apply1(code, inputs[0]) if len(inputs) == 1 else apply2(code, inputs[0], inputs[1])
        return api().ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func, types, args, kwargs):
        return api().function(func, types, args, kwargs)

    def __getitem__(self, key):
        items = key if isinstance(key, tuple) else (key,)
        for k in items:
            if k is not None and k is not Ellipsis:
                raise IndexError("invalid index to scalar variable.")
        if not items:
            return self
        return structural("reshape", (self,), None, (1,) * items.count(None), self.dt)

    def __iter__(self):
        raise TypeError("'numpy.float64' object is not iterable")

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        raise TracerError(f"{here()}: a traced number cannot be pickled; use ad.peek(x)")

    @property
    def dtype(self):
        """The dtype of the NumPy scalar for which this stands."""
        return DTYPES[self.dt]

    @property
    def itemsize(self):
        return fa_itemsize[self.dt]

    @property
    def nbytes(self):
        return fa_itemsize[self.dt]

    @property
    def T(self):
        return self

    @property
    def real(self):
        return self

    @property
    def imag(self):
        return DTYPES[self.dt].type(0)

    def item(self):
        return self

    def copy(self):
        return self

    def conj(self):
        return self

    def conjugate(self):
        return self

    def is_integer(self):
        return self.dt != FA_F64 or apply2(FA_EQUAL, apply1(OP_FLOOR, self), self)

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
        self.leaf.grad = value

    def backward(self, seed=None, retain_graph=False):
        """Reverse sweep from this value: adds to `.grad` of every variable on which it depends."""
        open_door("backward")(self, seed, retain_graph)

    def assign(self, value):
        """Give a variable another value; what was computed from the old one is not touched."""
        if self.leaf is None:
            raise AdError("assign: only a variable (ad.variable) can be given another value")
        open_door("assign")(self, value)


numbers.Real.register(Scalar)

cdef extern from *:
    """
    static void fastad_no_sequence(PyObject *type) { ((PyTypeObject *)type)->tp_as_sequence->sq_item = NULL; }
    """
    void fastad_no_sequence(object type)

# Like np.float64, no sequence: else NumPy hides our error behind "setting an array element with a sequence".
fastad_no_sequence(Scalar)


cdef object to_foreign(object x, concrete):
    """What foreign code gets of a traced value: a read-only copy of an inactive one, guarded; else an error."""
    cdef Tape t
    cdef uint32_t i
    if type(x) is Scalar:
        t = (<Scalar>x).tape
        i = (<Scalar>x).id
    else:
        t = (<Array>x).s.tape
        i = read(t, <Array>x)
    check_open(t, x)
    if t.is_active(i):
        raise TracerError(
            f"{here()}: a traced {'number' if type(x) is Scalar else 'array'} was converted to a plain ndarray "
            "(stored into an array that was made outside, or by a function that the recorder does not see such as "
            "`from numpy import zeros`; or handed to compiled code). Make the array inside the function with "
            f"np.zeros, np.empty or np.array, called as np.name, or use ad.primitive for foreign code.{hint()}")
    guard_array(t, i, concrete)
    out = np.array(concrete)
    out.flags.writeable = False
    return out


cdef int guard_array(Tape t, uint32_t i, concrete) except -1:
    """Guard an inactive value that leaks into Python: all of its elements must stay as they are."""
    cdef uint32_t k
    cdef const fa_aval *av = &AVALS[t.aval[i]]
    if av.nd == 0:
        t.add_guard(i, cell_of(concrete[()], av.dtype).i, "the value of an array given to foreign code")
        return 0
    k = t.emit_const(np.ascontiguousarray(concrete, dtype=DTYPES[av.dtype]))
    k = t.push(FA_EQUAL, aval_id(FA_BOOL, aval_shape(t.aval[i])), i, k)
    k = t.push(FA_ALL, FA_AVAL_BOOL, k, t.attr_id(Axis(1, av.size, 1)))
    t.add_guard(k, 1, "the values of an array given to foreign code")
    return 0


# ---- elementwise primitives ----------------------------------------------------------------------------------------
cdef int supported_dtype(dtype) except -1:
    """Code of the dtype as which values of `dtype` are recorded."""
    code = dtype_codes.get(dtype)
    if code is not None:
        return code
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return FA_F64
    if dtype.kind == "i" or (dtype.kind == "u" and dtype.itemsize < 8):
        return FA_I64
    raise UnsupportedError(f"{here()}: dtype {dtype} is not recorded (float64, int64 and bool are)")


cdef int code_of(object x) except -2:
    """Dtype code of an operand; -1: not an operand that we know."""
    if type(x) is Scalar:
        return (<Scalar>x).dt
    if type(x) is Array:
        return (<Array>x).s.dtype
    if PyFloat_Check(x):
        return FA_F64
    if x is True or x is False:
        return FA_BOOL
    if isinstance(x, int):
        return FA_I64
    if isinstance(x, (ndarray_type, generic_type)):
        return supported_dtype(x.dtype)
    if isinstance(x, complex):
        raise UnsupportedError(f"{here()}: complex numbers are not recorded yet")
    return -1


cdef Tape joint_tape(Tape t, object x):
    """The innermost of two tapes that are open in this thread."""
    cdef Tape u = None
    if type(x) is Scalar:
        u = (<Scalar>x).tape
        if u.owner != PyThreadState_Get():
            if (<Scalar>x).leaf is not None:
                u = (<Scalar>x).leaf.attach(x)
            else:
                check_open(u, x)
    elif type(x) is Array and (<Array>x).s.state == TRACED:
        u = (<Array>x).s.tape
        if u.owner != PyThreadState_Get():
            if (<Array>x).s.leaf is not None:
                u = (<Array>x).s.leaf.attach(x)
            else:
                check_open(u, x)
    if u is None or u is t:
        return t
    if t is None:
        return u
    cdef Tape up = u.parent
    while up is not None:
        if up is t:
            return u
        up = up.parent
    up = t.parent
    while up is not None:
        if up is u:
            return t
        up = up.parent
    raise EscapedTracerError(f"{here()}: traced values of two unrelated recordings meet; return them from the one, "
                             "and pass them to the other as arguments")


cdef uint32_t lift(Tape t, Tape home, uint32_t i, object value) except 0:
    """Id in t of value i (concrete: `value`) of `home`, a recording around t: it becomes an input of t."""
    if home is t:
        return i
    if t.parent is None:
        raise InternalError("lift: the value's recording does not enclose this one")
    i = lift(t.parent, home, i, value)
    found = t.lifted.get(i)
    if found is None:
        found = t.emit_input(t.parent.aval[i], t.parent.is_active(i))
        t.lifted[i] = found
        t.lifted_from.append(i)
        t.lifted_values.append(np.array(value))
    return <uint32_t>found


cdef uint32_t lift_scalar(Tape t, Scalar x) except 0:
    return lift(t, x.tape, x.id, x.number())


cdef int resolve(Tape t, object x, int want, operand *o, list keep) except -1:
    """Id, aval and contiguous concrete data of an operand in dtype `want`."""
    cdef cnp.ndarray c
    cdef int have
    if type(x) is Scalar:
        o.cell = (<Scalar>x).v
        have = (<Scalar>x).dt
        o.id = (<Scalar>x).id if (<Scalar>x).tape is t else lift_scalar(t, <Scalar>x)
        o.aval = have
        o.data = NULL
    elif type(x) is Array:
        have = (<Array>x).s.dtype
        o.id = read(t, <Array>x)
        c = contiguous((<Array>x).c)
        set_data(t, c, have, o, keep)
    elif isinstance(x, ndarray_type):
        have = supported_dtype(x.dtype)
        o.id = t.emit_const(x) if t.eager else capture(t, x)
        c = np.ascontiguousarray(x, dtype=DTYPES[have]).reshape(x.shape)
        set_data(t, c, have, o, keep)
    else:
        o.cell = cell_of(x, want)
        o.aval = want
        o.data = NULL
        o.id = t.const_f64(o.cell.f) if want == FA_F64 else t.const_cell(want, o.cell)
        return 0
    if have != want:
        convert(t, o, have, want, keep)
    return 0


cdef inline cnp.ndarray contiguous(cnp.ndarray c):
    return c if cnp.PyArray_IS_C_CONTIGUOUS(c) else cnp.PyArray_GETCONTIGUOUS(c)


cdef int set_data(Tape t, cnp.ndarray c, int dtype, operand *o, list keep) except -1:
    o.aval = t.aval[o.id]
    if cnp.PyArray_NDIM(c) == 0:
        o.cell = cell_of((<object>c)[()], dtype)
        o.data = NULL
    else:
        keep.append(c)
        o.data = <char *>cnp.PyArray_DATA(c)
    return 0


cdef int convert(Tape t, operand *o, int have, int want, list keep) except -1:
    cdef fa_aval *av = &AVALS[o.aval]
    cdef uint32_t target = aval_id(want, aval_shape(o.aval))
    cdef fa_aval *out = &AVALS[target]
    cdef cnp.ndarray c
    cdef fa_cell y
    cdef char *data = o.data if av.nd else <char *>&o.cell
    cdef fa_env env
    o.id = t.push(FA_CAST, target, o.id, t.attr_id(None))
    o.aval = target
    env.flags = env.has_foreign = 0
    if av.nd == 0:
        y.i = 0
        fa_kernel(FA_CAST, NULL, 1, <const fa_aval *const *>&av, &data, out, <char *>&y, &env)
        o.cell = y
    else:
        c = np.empty(aval_shape(target), dtype=DTYPES[want])
        fa_kernel(FA_CAST, NULL, 1, <const fa_aval *const *>&av, &data, out, <char *>cnp.PyArray_DATA(c), &env)
        keep.append(c)
        o.data = <char *>cnp.PyArray_DATA(c)
    return 0


cdef object apply1(int op, object x):
    cdef Scalar s
    cdef fa_cell v
    if type(x) is Scalar:
        s = <Scalar>x
        if s.dt == FA_F64 and not ROW_BOOL[op] and s.tape.owner == PyThreadState_Get():
            v.f = fa_scalar_f64(op, s.v.f, 0.0)
            return new_scalar(s.tape, s.tape.push(op, FA_AVAL_F64, s.id, 0), FA_F64, v)
    return apply(op, (x,))


cdef object apply2(int op, object l, object r):
    return apply(op, (l, r))


cdef int operand_dtype(int op, tuple xs) except -2:
    """Dtype in which NumPy computes `op` on these operands; -1: an operand that we do not know."""
    cdef int code, m = FA_BOOL
    cdef Py_ssize_t k
    for k in range(1 if op == FA_WHERE else 0, len(xs)):
        code = code_of(xs[k])
        if code < 0:
            return -1
        m = min(m, code)
    if op == FA_WHERE:
        return m
    if ROW_FLOAT[op]:
        return FA_F64
    if (m == FA_BOOL and not ROW_BOOLIN[op]) or (m == FA_I64 and not ROW_INT[op]) or \
            (m == FA_F64 and fa_prims[op].loop[0].fn == NULL and op != FA_STRONGZERO):
        ufunc = ROWS[op].ufunc           # NumPy's own error, or a dtype that we do not record
        out = ufunc(*[DTYPES[m].type(1)] * len(xs)).dtype
        raise UnsupportedError(f"{here()}: {ROWS[op].name} of {DTYPE_NAMES[m]} gives {out}, which is not recorded")
    return m


cdef object apply(int op, tuple xs):
    """Record and compute one elementwise primitive on scalars, arrays, ndarrays, Python numbers."""
    cdef Tape t = None
    cdef operand[3] o
    cdef int m, k, n = <int>len(xs)
    cdef list keep = []
    for x in xs:
        if type(x) is Scalar or type(x) is Array:
            t = joint_tape(t, x)
        elif isinstance(x, (list, tuple)):
            return apply(op, tuple([api().asarray(y) if isinstance(y, (list, tuple)) else y for y in xs]))
    m = operand_dtype(op, xs)
    if m < 0:
        return NotImplemented
    if t is None:
        return plain_apply(op, xs)
    for k in range(n):
        resolve(t, xs[k], FA_BOOL if (op == FA_WHERE and k == 0) else m, &o[k], keep)
    cdef bint scalar = True
    for k in range(n):
        if AVALS[o[k].aval].nd:
            scalar = False
    if scalar:
        return scalar_result(t, op, m, n, o)
    return array_result(t, op, m, n, o, xs, keep)


cdef object scalar_result(Tape t, int op, int m, int n, operand *o):
    cdef fa_cell[3] cells
    cdef fa_cell v
    cdef int k, out = FA_BOOL if ROW_BOOL[op] else m
    for k in range(n):
        cells[k] = o[k].cell
    if op == FA_WHERE:
        v = cells[1] if cells[0].i else cells[2]
    else:
        v = fa_scalar(op, m, cells)
        if m == FA_I64 and PyErr_Occurred() != NULL:
            raise_current()
    return new_scalar(t, emit_elementwise(t, op, out, n, o), out, v)


cdef int raise_current() except -1:
    """Raise the error that a loop of NumPy's has set."""
    return -1


cdef uint32_t emit_elementwise(Tape t, int op, uint32_t aval, int n, operand *o) except 0:
    cdef uint32_t[3] ids
    cdef int k
    if n <= 2:
        return t.push(op, aval, o[0].id, o[1].id if n == 2 else 0)
    for k in range(n):
        ids[k] = o[k].id
    return t.push_nary(op, aval, ids, n, t.attr_id(None))


cdef object array_result(Tape t, int op, int m, int n, operand *o, tuple xs, list keep):
    cdef tuple shape
    cdef int k
    cdef fa_aval_p[3] avs
    cdef charp[3] data
    cdef fa_env env
    cdef uint32_t big = 0
    cdef bint same = True
    for k in range(n):
        if AVALS[o[k].aval].nd:
            if big and aval_shape(o[k].aval) != aval_shape(big):
                same = False
            big = o[k].aval
    shape = aval_shape(big)
    if not same:
        shape = broadcast(t, n, o, keep)
    cdef uint32_t out = aval_id(FA_BOOL if ROW_BOOL[op] else m, shape)
    cdef cnp.ndarray c = new_ndarray(out)
    for k in range(n):
        avs[k] = &AVALS[o[k].aval]
        data[k] = o[k].data if avs[k].nd else <char *>&o[k].cell
    env.flags = env.has_foreign = 0
    fa_elementwise(op, n, avs, data, &AVALS[out], <char *>cnp.PyArray_DATA(c), &env)
    if m == FA_I64 and PyErr_Occurred() != NULL:
        raise_current()
    cdef uint32_t i = emit_elementwise(t, op, out, n, o)
    t.locate(i)
    if len(shape) > 1:
        c = numpy_layout(op, xs, c)
    return fresh_array(t, i, c)


cdef cnp.ndarray new_ndarray(uint32_t a):
    cdef cnp.npy_intp[64] dims
    cdef int d
    for d in range(AVALS[a].nd):
        dims[d] = AVALS[a].shape[d]
    return cnp.PyArray_SimpleNew(AVALS[a].nd, dims, NPY_TYPE[AVALS[a].dtype])


cdef cnp.ndarray numpy_layout(int op, tuple xs, cnp.ndarray c):
    """Give a result the memory layout that NumPy would: it decides whether a later reshape is a view."""
    cdef bint ordered = True
    cdef list arrays = []
    for x in xs:
        if type(x) is Array:
            x = (<Array>x).c
        if isinstance(x, ndarray_type):
            arrays.append(x)
            if cnp.PyArray_NDIM(x) > 1 and not cnp.PyArray_IS_C_CONTIGUOUS(x):
                ordered = False
    if ordered:
        return c
    it = np.nditer(arrays + [None], op_flags=[["readonly"]] * len(arrays) + [["writeonly", "allocate"]],
                   flags=["zerosize_ok"], op_dtypes=[None] * len(arrays) + [(<object>c).dtype])
    out = it.operands[len(arrays)]
    out[...] = c
    return out


cdef tuple broadcast(Tape t, int n, operand *o, list keep):
    """Bring operands to one shape: rank 0 where they hold one element, else by a repeating view."""
    cdef int k
    cdef tuple shape
    cdef cnp.ndarray c
    shape = np.broadcast_shapes(*[aval_shape(o[k].aval) for k in range(n)])
    for k in range(n):
        own = aval_shape(o[k].aval)
        if own == shape or not own:
            continue
        if AVALS[o[k].aval].size == 1:
            o[k].cell.i = 0
            memcpy(&o[k].cell, o[k].data, fa_itemsize[AVALS[o[k].aval].dtype])
            o[k].aval = AVALS[o[k].aval].dtype
            o[k].id = t.push(FA_RESHAPE, o[k].aval, o[k].id, t.attr_id(None))
            o[k].data = NULL
            continue
        broadcast_one(t, &o[k], own, shape, keep)
    return shape


cdef int broadcast_one(Tape t, operand *o, tuple own, tuple shape, list keep) except -1:
    cdef int dtype = AVALS[o.aval].dtype
    cdef fa_aval *av = &AVALS[o.aval]
    cdef uint32_t out = aval_id(dtype, shape)
    cdef cnp.ndarray c = new_ndarray(out)
    cdef fa_env env
    m = broadcast_map(own, shape)
    fa_kernel(FA_MOVE, (<Attr>m).ptr, 1, <const fa_aval *const *>&av, &o.data, &AVALS[out],
              <char *>cnp.PyArray_DATA(c), &env)
    o.id = t.push(FA_MOVE, out, o.id, t.attr_id(m))
    o.aval = out
    keep.append(c)
    o.data = <char *>cnp.PyArray_DATA(c)
    return 0


def broadcast_map(own, shape):
    """Map that repeats an array of shape `own` to `shape`."""
    strides, step = [], 1
    for extent in reversed(own):
        strides.append(0 if extent == 1 else step)
        step *= extent
    strides += [0] * (len(shape) - len(own))
    return Map.view(step, shape, 0, tuple(reversed(strides)))


cdef object plain_apply(int op, tuple xs):
    """An elementwise primitive on arrays in which nothing is traced: NumPy does it."""
    ufunc = ROWS[op].ufunc
    xs = tuple([(<Array>x).c if type(x) is Array else x for x in xs])
    return wrap_plain(np.where(*xs) if op == FA_WHERE else ufunc(*xs))


cdef object power(object l, object r):
    """l ** r, by the shortcuts for constant exponents that NumPy takes."""
    if type(r) is not Scalar and type(r) is not Array and isinstance(r, (int, float, generic_type)) \
            and code_of(l) == FA_F64:
        if r == 2:
            return apply1(FA_SQUARE, l)
        if r == 1:
            return apply1(OP_POSITIVE, l)
        if r == 0.5:
            return apply1(FA_SQRT, l)
        if r == -1:
            return apply1(FA_RECIPROCAL, l)
    return apply2(OP_POWER, l, r)


def elementwise(op, *operands):
    """Record one row of the table on traced operands (`op`: name or opcode)."""
    return apply(OPCODES[op] if isinstance(op, str) else op, operands)


cdef object cast(object x, int dtype):
    """x converted to a dtype as `astype` does; x itself if it has that dtype."""
    cdef operand o
    cdef list keep = []
    cdef Tape t = joint_tape(None, x)
    if code_of(x) == dtype:
        return x
    resolve(t, x, dtype, &o, keep)
    if AVALS[o.aval].nd == 0:
        return new_scalar(t, o.id, dtype, o.cell)
    t.locate(o.id)
    return fresh_array(t, o.id, <cnp.ndarray>keep[-1])


def astype(x, dtype):
    """x converted to float64, int64 or bool (other dtypes are refused)."""
    code = dtype_codes.get(np.dtype(dtype))
    if code is None:
        raise UnsupportedError(f"{here()}: astype({np.dtype(dtype)}): only float64, int64 and bool are recorded")
    return cast(x, code)
