"""_calls.pxi - a call of a tape: arguments in, a sweep or the program, results out (included in _tape.pyx).

Owns: the choice between sweep and program, and whose `out` a keyword is.
Must not know: structures of arguments and results (the signature's; results.py behind the door "into").
"""

cdef object take_out(Tape t, dict kwargs):
    """The caller's arrays, out of the keywords; None: there are none, or `out` is an argument of the function."""
    if "out" not in kwargs or t.signature_ is not None and "out" in t.signature_.keywords():
        return None
    return kwargs.pop("out")


cdef object give(object out, object result):
    """The result, or `out` with it."""
    return result if out is None else open_door("into")(out, result)


cdef object replayed(Tape t, tuple args, dict kwargs):
    """The results."""
    cdef Frame f
    cdef object out = take_out(t, kwargs)
    cdef list values = t.values_of(args, kwargs)
    if t.program is not None:
        if out is not None and t.lone_out and t.program.takes(0, out):
            return t.program.run(values, [out])[0]
        return give(out, t.pack_outputs(t.program.run(values)))
    f = t.passing_frame()
    t.run_forward(f, values)
    f.valid = False                  # only `forward` sets the point: a reverse sweep never means another one
    return give(out, t.pack_outputs(t.read_outputs(f.v)))


cdef object gradient_of_sum(Tape t, tuple args, dict kwargs):
    """The gradient of the sum of all results."""
    cdef object out = take_out(t, kwargs)
    cdef list values = t.values_of(args, kwargs)
    cdef Frame f
    program = t.derived.get("gradient program")
    if program is not None:
        if out is not None and t.lone_in and program.takes(len(t.outputs), out):
            return program.run(values, [None] * len(t.outputs) + [out])[len(t.outputs)]
        return give(out, t.pack_gradients(program.run(values)[len(t.outputs):]))
    f = t.passing_frame()
    t.run_forward(f, values)
    f.valid = False
    t.run_reverse(f, [1.0] * len(t.outputs))
    return give(out, t.pack_gradients(t.read_inputs(f.a)))
