"""_places.pxi - where in the user's code an instruction was recorded (included in _tape.pyx).

Owns: which code is the user's; locations, held once, that become file and line when somebody wants to see them.
Must not know: instructions.
Next: _recording.pxi.
"""
cdef extern from "Python.h":
    """
    #include <frameobject.h>
    """
    ctypedef struct PyFrameObject:
        pass
    PyFrameObject *PyEval_GetFrame()
    object PyFrame_GetCode(PyFrameObject *frame)
    int PyFrame_GetLasti(PyFrameObject *frame)
    PyFrameObject *PyFrame_GetBack(PyFrameObject *frame)

# By the id of the code object, which is held: Python hashes a code object by its whole content, bytecode included.
cdef dict user_code = {}                 # id -> (code object, is it the user's, not NumPy's, SciPy's, Python's or ours)
_STDLIB = os.path.dirname(os.__file__) + os.sep
_LIBRARIES = (os.path.dirname(numpy.__file__) + os.sep, os.path.dirname(os.path.abspath(__file__)) + os.sep)


cdef bint is_user_code(code) except -1:
    cdef object key = <size_t><PyObject *>code
    found = user_code.get(key)
    if found is None:
        if len(user_code) > 20000:       # of code that is made anew all the time
            user_code.clear()
        name = code.co_filename
        known = not (name.startswith(_LIBRARIES) or "/scipy/" in name or name.startswith("<__array_function__")
                     or name.startswith("<frozen") or (name.startswith(_STDLIB) and "-packages" not in name))
        found = user_code[key] = (code, known)
    return (<tuple>found)[1]


cdef object user_location():
    """(code, last instruction) of the innermost frame of user code; resolved to file:line only when it is shown."""
    cdef PyFrameObject *frame = PyEval_GetFrame()
    cdef PyFrameObject *back
    cdef bint owned = False
    cdef Place *latest
    while frame != NULL:
        code = PyFrame_GetCode(frame)
        latest = latest_place(<void *>code, PyFrame_GetLasti(frame))
        if latest.code == <void *>code and latest.lasti == PyFrame_GetLasti(frame):
            found = <object>latest.location
            if owned:
                Py_DECREF(<object>frame)
            return found
        if is_user_code(code):
            found = once_place(code, PyFrame_GetLasti(frame))
            if owned:
                Py_DECREF(<object>frame)
            return found
        back = PyFrame_GetBack(frame)
        if owned:
            Py_DECREF(<object>frame)
        frame = back
        owned = True
    return None


cdef dict places = {}                    # (id of a code object, last instruction) -> the location

# Those of `places` that were asked for lately: a loop asks at every step.
ctypedef struct Place:
    void *code
    void *location
    int lasti

cdef enum: LATEST = 256
cdef Place[LATEST] latest_places
memset(latest_places, 0, sizeof(latest_places))


cdef inline Place *latest_place(void *code, int lasti) noexcept:
    return &latest_places[((<size_t>code >> 4) + 31 * <size_t>lasti) % LATEST]


cdef dict guard_places = {}              # (kind, id of the location) -> (kind, location)


cdef object once_place(code, int lasti):
    """The location, held once: a loop records the same few places many times."""
    cdef tuple key = (<size_t><PyObject *>code, lasti)
    if len(places) > 100000:
        guard_places.clear()             # first: its keys are ids of what `places` holds
        memset(latest_places, 0, sizeof(latest_places))
        places.clear()
    found = places.get(key)
    if found is None:
        found = places[key] = (code, lasti)
    latest_place(<void *>code, lasti)[0] = Place(<void *>code, <void *>found, lasti)
    return found


cdef object once_guard(str kind, location):
    cdef tuple key = (kind, <size_t><PyObject *>location)
    found = guard_places.get(key)
    if found is None:
        found = guard_places[key] = (kind, location)
    return found


def format_location(location):
    """'file:line' of a location, '?' when it is not known."""
    if location is None:
        return "?"
    if isinstance(location, str):
        return location
    code, lasti = location
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= lasti < end and number is not None:
            line = number
    return f"{code.co_filename}:{line}"


def here():
    """'file:line' of the user code that is running."""
    return format_location(user_location())
