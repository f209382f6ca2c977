"""_scalar.pxi - the traced scalar: what stands for a np.float64 while a function is recorded (included in _tape.pyx).

Owns: Scalar, immutable, with the short way from a Python operator to an instruction.
Must not know: arrays, NumPy's function names (numpy_api.py).
Next: _elementwise.pxi (everything that the short way leaves), _array.pxi.
"""
import numbers

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
    cdef Scalar s
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
                    s = new_scalar(t, t.push(op, FA_AVAL_F64, i, y.id), FA_F64, v)
                    s.weak = x.weak & y.weak
                    return s
            elif PyFloat_Check(r) or PyLong_CheckExact(r):
                b = PyFloat_AS_DOUBLE(r) if PyFloat_Check(r) else PyLong_AsDouble(r)
                j = t.const_f64(b)
                v.f = fa_scalar_f64(op, a, b)
                s = new_scalar(t, t.push(op, FA_AVAL_F64, i, j), FA_F64, v)
                s.weak = x.weak and (PyFloat_CheckExact(r) or not PyFloat_Check(r))
                return s
    elif PyFloat_Check(l) or PyLong_CheckExact(l):
        y = <Scalar>r
        t = y.tape
        if y.dt == FA_F64 and t.owner == PyThreadState_Get():
            a = PyFloat_AS_DOUBLE(l) if PyFloat_Check(l) else PyLong_AsDouble(l)
            i = t.const_f64(a)
            v.f = fa_scalar_f64(op, a, y.v.f)
            s = new_scalar(t, t.push(op, FA_AVAL_F64, i, y.id), FA_F64, v)
            s.weak = y.weak and (PyFloat_CheckExact(l) or not PyFloat_Check(l))
            return s
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
cdef object numpy_api = None             # the module that knows NumPy's functions: it registers itself, being above us


def register_numpy_api(module):
    """Say which module answers NumPy's protocols."""
    global numpy_api
    numpy_api = module


cdef inline object api():
    return numpy_api


# Instructions of the code objects that asked last, by their id: `co_code` makes them anew each time.
cdef dict instructions = {}
cdef int BINARY_OP = dis.opmap["BINARY_OP"]


cdef bint formatted():
    """Does Python's % make text of the number just now?  "%g" % x looks at it, as f"{x:g}" does; nothing is computed.

    No other % asks an operand of ours for a float: those of numbers and arrays call __rmod__ or the ufunc.
    """
    frame = sys._getframe()
    code = frame.f_code
    known = instructions.get(id(code))
    if known is None or known[0] is not code:
        if len(instructions) >= 100:
            instructions.clear()
        known = instructions[id(code)] = (code, code.co_code)
    cdef bytes program = known[1]
    cdef int at = frame.f_lasti
    return at >= 0 and <uint8_t>program[at] == BINARY_OP and <uint8_t>program[at + 1] in (6, 19)      # % and %=


cdef int refuse_kept(Tape t, uint32_t i, bint value) except -1:
    """Error where an active array was equal to one of the user's: `if np.array_equal(x, self.x): return self.y`

    What is returned there was computed from numbers: its derivative would be 0, and nobody would notice.
    """
    cdef uint32_t k = t.arg[2 * <size_t>i], a = t.arg[2 * <size_t>k], b = t.arg[2 * <size_t>k + 1]
    if not (value and t.op[i] == FA_ALL and t.op[k] == FA_EQUAL
            or not value and t.op[i] == FA_ANY and t.op[k] == FA_NOT_EQUAL):
        return 0
    if t.op[a] == FA_CAPTURE:
        a, b = b, a
    if t.op[b] == FA_CAPTURE and t.aval[a] == t.aval[b] and t.is_active(a):
        raise DerivativeError(
            f"{here()}: an array on which the derivative depends was found equal to one from outside of the function. "
            "If what comes next is a result that was kept for it from an earlier call, its derivative would be lost: "
            "forget it before the derivative is asked for (self.x = None), or keep nothing inside of the function. If "
            "only the numbers are meant, compare with ad.peek(x).")
    return 0


cdef tuple CLASS_OF = (np.float64, np.int64, np.bool_, np.float32)


@cython.final
@cython.freelist(8192)
cdef class Scalar:
    """A traced number: stands for a np.float64, np.float32, np.int64 or np.bool_ while a function is recorded."""

    __array_priority__ = 1e6
    shape = ()
    ndim = 0
    size = 1
    strides = ()

    def __add__(a, b):
        return arith(FA_ADD, a, b)

    def __radd__(b, a):
        return arith(FA_ADD, a, b)

    def __sub__(a, b):
        return arith(FA_SUBTRACT, a, b)

    def __rsub__(b, a):
        return arith(FA_SUBTRACT, a, b)

    def __mul__(a, b):
        return arith(FA_MULTIPLY, a, b)

    def __rmul__(b, a):
        return arith(FA_MULTIPLY, a, b)

    def __truediv__(a, b):
        return arith(FA_DIVIDE, a, b)

    def __rtruediv__(b, a):
        return arith(FA_DIVIDE, a, b)

    def __neg__(self):
        return weakly(apply1(FA_NEGATIVE, self), self, self)

    def __pos__(self):
        return weakly(apply1(OP_POSITIVE, self), self, self)

    def __abs__(self):
        return weakly(apply1(FA_ABSOLUTE, self), self, self)

    def __invert__(self):
        return apply1(OP_INVERT, self)

    def __pow__(a, b, m):
        return weakly(power(a, b), a, b) if m is None else NotImplemented

    def __rpow__(b, a, m):
        return weakly(power(a, b), a, b) if m is None else NotImplemented

    def __floordiv__(a, b):
        return weakly(apply2(OP_FLOOR_DIVIDE, a, b), a, b)

    def __rfloordiv__(b, a):
        return weakly(apply2(OP_FLOOR_DIVIDE, a, b), a, b)

    def __mod__(a, b):
        return weakly(apply2(OP_REMAINDER, a, b), a, b)

    def __rmod__(b, a):
        return weakly(apply2(OP_REMAINDER, a, b), a, b)

    def __divmod__(a, b):
        return both(apply2(OP_FLOOR_DIVIDE, a, b), a, b)

    def __rdivmod__(b, a):
        return both(apply2(OP_FLOOR_DIVIDE, a, b), a, b)

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

    def __matmul__(a, b):
        raise ValueError("matmul: a scalar operand is not allowed; use *")

    def __lt__(a, b):
        return compare(FA_LESS, a, b)

    def __le__(a, b):
        return compare(FA_LESS_EQUAL, a, b)

    def __gt__(a, b):
        return compare(FA_GREATER, a, b)

    def __ge__(a, b):
        return compare(FA_GREATER_EQUAL, a, b)

    def __eq__(a, b):
        if b is None or isinstance(b, (str, bytes)):
            return False
        return compare(FA_EQUAL, a, b)

    def __ne__(a, b):
        if b is None or isinstance(b, (str, bytes)):
            return True
        return compare(FA_NOT_EQUAL, a, b)

    # -- Python consumes the value: a guard, or an error
    def __bool__(self):
        cdef Scalar b = self
        check_open(self.tape, self)
        if is_real(self.dt):
            b = <Scalar>apply2(FA_NOT_EQUAL, self, 0.0)
        self.tape.add_guard(b.id, b.v.i, "bool()")
        if self.tape.op[b.id] == FA_ALL or self.tape.op[b.id] == FA_ANY:
            refuse_kept(self.tape, b.id, b.v.i != 0)
        return b.v.i != 0

    def __index__(self):
        if is_real(self.dt):
            raise TypeError(f"'numpy.{DTYPE_NAMES[self.dt]}' object cannot be interpreted as an integer")
        check_open(self.tape, self)
        if self.dt == FA_BOOL:
            raise TypeError("'numpy.bool' object cannot be interpreted as an integer")
        self.tape.add_guard(self.id, self.v.i, "int()")
        return self.v.i

    def __int__(self):
        cdef Scalar i = self
        if formatted():
            return int(self.number())
        check_open(self.tape, self)
        if is_real(self.dt):
            if not isfinite(<double>self.number()):
                return int(self.number())            # Python's own error
            i = <Scalar>cast(self, FA_I64)
        self.tape.add_guard(i.id, i.v.i, "int()")
        return i.v.i

    def __trunc__(self):
        return self.__int__()

    def __float__(self):
        if formatted():
            return <double>self.number()
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
        raise UnsupportedError(f"{here()}: complex(x) gives a plain number; write x + 0j, or ad.peek(x) if a constant "
                               "is meant")

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
        scale = 10.0 ** PyNumber_Index(ndigits)
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
                return apply1(code, inputs[0]) if len(inputs) == 1 else called2(code, inputs[0], inputs[1]) \
                    if len(inputs) == 2 else apply(code, inputs)
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
        raise TypeError(f"'numpy.{DTYPE_NAMES[self.dt]}' object is not iterable")

    def __copy__(self):                  # of a variable: its value, as with an array; the copy is no second variable
        return self if self.leaf is None else apply1(OP_POSITIVE, self)

    def __deepcopy__(self, memo):
        return self.__copy__()

    def __reduce__(self):
        raise TracerError(f"{here()}: a traced number cannot be pickled; use ad.peek(x)")

    @property
    def __class__(self):                 # isinstance(x, float) is as true as it is of NumPy's numbers
        return CLASS_OF[self.dt]

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
        return python_number(self)

    def copy(self):
        return self

    def conj(self):
        return self

    def conjugate(self):
        return self

    def is_integer(self):
        return not is_real(self.dt) or apply2(FA_EQUAL, apply1(OP_FLOOR, self), self)

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
        self.leaf.grad = None if value is None else real_value("grad", value, (), True)

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
