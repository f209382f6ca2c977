"""verify.py: each primitive's rule accepts what the recorder writes, and refuses every neighbour that is wrong.

Owns: one small tape for each structural primitive, and its neighbours: another dtype, another size, an attribute that
claims too much.  Next: test_serialize.py (whole files), programs.py (recorded tapes).
"""
import numpy as np
import pytest
from programs import PROGRAMS

from fastad import _tape as T
from fastad.errors import TapeFileError
from fastad.recording import record
from fastad.verify import verify
from fastad.verify_rules import RULES

F, Z, B = 0, 1, 2
VIEW = T.Map.view(6, (4,), 1, (1,))
SCATTER = T.Map.table(3, 6, None, np.array([5, 0, 2]))
CSR = T.Csr(2, 3, 1, [0, 2, 3], [0, 2, 1])

# name: (operands, attribute or index, result, values of the operands)
CASES = {
    "element": ([(F, (6,))], 5, (F, ())),
    "reshape": ([(F, (6,))], None, (F, (2, 3))),
    "stop": ([(F, (6,))], None, (F, (6,))),
    "cast": ([(Z, (6,))], None, (F, (6,))),
    "move": ([(F, (6,))], VIEW, (F, (4,))),
    "erase": ([(F, (6,))], SCATTER, (F, (6,))),
    "write": ([(F, (6,)), (F, (3,))], SCATTER, (F, (6,))),
    "assemble": ([(F, (3,)), (F, (6,))], T.Assemble([SCATTER, T.Map.view(6, (6,), 0, (1,))], covers=True), (F, (6,))),
    "stack": ([(F, (4,)), (F, ()), (F, ())], T.Stack(2, [3, 0], True), (F, (4,))),
    "take": ([(F, (6,)), (Z, (3,))], None, (F, (3,))),
    "addat": ([(Z, (3,)), (F, (3,))], None, (F, (6,))),
    "put": ([(F, (6,)), (Z, (3,)), (F, (3,))], None, (F, (6,))),
    "wrap": ([(Z, (3,))], T.Number(6), (Z, (3,))),
    "lastwriter": ([(Z, (3,))], T.Number(6), (B, (3,))),
    "flatnonzero": ([(B, (6,))], None, (Z, (2,))),
    "sum": ([(F, (2, 3))], T.Axis(2, 3, 1), (F, (2,))),
    "maxr": ([(F, (2, 3))], T.Axis(1, 2, 3), (F, (3,))),
    "minr": ([(Z, (2, 3))], T.Axis(1, 6, 1), (Z, ())),
    "any": ([(F, (2, 3))], T.Axis(1, 6, 1), (B, ())),
    "all": ([(B, (2, 3))], T.Axis(1, 6, 1), (B, ())),
    "argmax": ([(F, (2, 3))], T.Axis(2, 3, 1), (Z, (2,))),
    "argmin": ([(Z, (2, 3))], T.Axis(2, 3, 1), (Z, (2,))),
    "cumsum": ([(F, (2, 3))], T.Axis(2, 3, 1), (F, (2, 3))),
    "argsort": ([(F, (2, 3))], T.Axis(2, 3, 1), (Z, (2, 3))),
    "searchsorted": ([(F, (6,)), (F, (3,))], T.Number(0), (Z, (3,))),
    "matmul": ([(F, (2, 3)), (F, (3, 4))], T.Matmul(1, 2, 3, 4, 0, 0), (F, (2, 4))),
    "spmm": ([(F, (3,)), (F, (3,))], CSR, (F, (2,))),
    "lapack": ([(F, (2, 2)), (F, (2, 3))], T.Lapack("trisolve", 1, 0, 2, 3), (F, (2, 3))),
    "add": ([(F, (6,)), (F, ())], None, (F, (6,))),
    "less": ([(Z, (6,)), (Z, (6,))], None, (B, (6,))),
    "where": ([(B, (6,)), (F, ()), (F, (6,))], None, (F, (6,))),
    "zeroproduct": ([(F, (6,)), (F, (6,))], None, (F, (6,))),
    "strongzero": ([(F, (6,)), (F, (6,))], None, (F, (6,))),
    "exp": ([(F, (6,))], None, (F, (6,))),
    "logical_not": ([(B, (6,))], None, (B, (6,))),
}
# Neighbours that are right as well: (primitive, what is changed).
ALSO_RIGHT = {("element", "operand 0 larger"), ("cast", "operand 0 dtype"), ("cast", "result dtype"),
              ("take", "operand 0 larger"), ("addat", "result larger"), ("flatnonzero", "operand 0 dtype"),
              ("flatnonzero", "operand 0 larger"), ("flatnonzero", "result larger"), ("any", "operand 0 dtype"),
              ("all", "operand 0 dtype"), ("argmax", "operand 0 dtype"), ("argmin", "operand 0 dtype"),
              ("argsort", "operand 0 dtype"), ("searchsorted", "operand 0 larger"), ("matmul", "operand 0 larger"),
              ("matmul", "operand 1 larger"), ("logical_not", "operand 0 dtype")}


def tape_of(name, operands, attr, result):
    tape = T.Tape()
    ids = [tape.emit_input(T.aval(*aval)) for aval in operands]
    if name == "element":
        out = tape.emit(name, (ids[0], attr), T.aval(*result))
    else:
        out = tape.emit(name, ids, T.aval(*result), attr)
    tape.set_outputs([out])
    return tape.finish()


def larger(aval):
    dtype, shape = aval
    return dtype, (shape[0] + 1, *shape[1:]) if shape else (2,)


def neighbours(name):
    """(what is changed, operands, result): one dtype or one size is another."""
    operands, _, result = CASES[name]
    for k, aval in enumerate(operands):
        for what, new in (("dtype", ((aval[0] + 1) % 3, aval[1])), ("larger", larger(aval))):
            yield f"operand {k} {what}", [*operands[:k], new, *operands[k + 1:]], result
    yield "result dtype", operands, ((result[0] + 1) % 3, result[1])
    yield "result larger", operands, larger(result)


def test_every_primitive_has_a_rule_and_a_case():
    structural = set(T.STRUCTURAL) - {"nop", "input", "const", "capture", "call"}
    assert set(RULES) == structural, "add a rule to verify_rules.py for each structural primitive"
    assert structural - set(CASES) == {"guard"}


@pytest.mark.parametrize("name", CASES)
def test_right_instructions_pass_and_run(name):
    operands, attr, result = CASES[name]
    tape = tape_of(name, operands, attr, result)
    verify(tape)
    out, = tape.sweep([np.ones(shape, T.DTYPES[dtype]) for dtype, shape in operands])
    assert np.shape(out) == result[1] and np.asarray(out).dtype == T.DTYPES[result[0]]


@pytest.mark.parametrize("name", CASES)
def test_wrong_neighbours_are_refused(name):
    attr = CASES[name][1]
    accepted = set()
    for what, operands, result in neighbours(name):
        try:
            verify(tape_of(name, operands, attr, result))
            accepted.add((name, what))
        except TapeFileError as error:
            assert name in str(error)
    assert accepted == {pair for pair in ALSO_RIGHT if pair[0] == name}


@pytest.mark.parametrize("name", [n for n in CASES if n in RULES and CASES[n][1] is not None and n != "element"])
def test_attributes_of_another_kind_are_refused(name):
    operands, attr, result = CASES[name]
    for other in (T.Number(1), T.Axis(1, 6, 1), VIEW, None):
        if other is None or other.kind != attr.kind:
            with pytest.raises(TapeFileError, match="not of kind"):
                verify(tape_of(name, operands, other, result))


def piece(shape, soff, sstr, doff, dstr, nsrc=6, ndst=6, covers=False, once=False):
    return T.Map(nsrc, ndst, ((shape, soff, sstr, doff, dstr),), None, None, covers, once, once)


LYING_MAPS = {
    "source below": piece((3,), 1, (-1,), 0, (1,)),
    "source above": piece((3,), 2, (2,), 0, (1,)),
    "destination above": piece((3,), 0, (1,), 4, (1,)),
    "destination below": piece((2, 2), 0, (1, 1), 0, (1, -1)),
    "overflow": piece((2, 2), 0, (2**62, 2**62), 0, (1, 1)),
    "not covered": piece((5,), 0, (1,), 0, (1,), covers=True, once=True),
    "covered twice instead": piece((6,), 0, (1,), 0, (0,), covers=True),
    "not injective": piece((2, 2), 0, (1, 1), 0, (2, 1), once=True),
    "endless": piece((2**50,), 0, (0,), 0, (0,)),
    "table above": T.Map(6, 6, None, np.array([6]), np.array([0]), False, True, True),
    "table below": T.Map(6, 6, None, np.array([-1]), np.array([0]), False, True, True),
    "table unequal": T.Map(6, 6, None, np.array([1, 2]), np.array([0]), False, True, True),
    "table duplicates": T.Map(6, 6, None, np.array([1, 2]), np.array([0, 0]), False, True, True),
    "table does not cover": T.Map(6, 6, None, np.arange(5), None, True, True, True),
    "table too long": T.Map(6, 6, None, np.zeros(7, np.int64), None, False, False, False),
}


@pytest.mark.parametrize("lie", LYING_MAPS)
def test_maps_that_lie_are_refused(lie):
    with pytest.raises(TapeFileError, match="map|piece"):
        verify(tape_of("move", [(F, (6,))], LYING_MAPS[lie], (F, (6,))))


def test_maps_of_many_kinds_are_believed():
    good = [T.Map.view(6, (2, 3), 0, (1, 2)), T.Map.view(6, (6,), 5, (-1,)), T.Map.view(6, (3, 2), 0, (2, 0)),
            T.Map.view(6, (2, 3), 0, (1, 2)).T, T.Map.view(6, (3, 2), 0, (2, 0)).T,
            T.Map.table(6, 6, [0, 0, 1, 1, 2, 2]), T.Map.table(6, 6, None, [0, 1, 2, 3, 4, 0]),
            T.Map.view(6, (3, 4), 0, (1, 1)), T.Map.view(0, (0, 2), 0, (2, 1))]
    for m in good:
        nsrc, ndst = m.sizes
        verify(tape_of("move", [(F, (nsrc,))], m, (F, (ndst,))))


def test_assemblies_that_do_not_cover_are_refused():
    halves = [T.Map(3, 6, (((3,), 0, (1,), at, (1,)),), None, None, False, True, True) for at in (0, 3)]
    good = T.Assemble(halves, covers=True)
    verify(tape_of("assemble", [(F, (3,)), (F, (3,))], good, (F, (6,))))
    bad = T.Assemble([halves[0], halves[0]], covers=True)
    with pytest.raises(TapeFileError, match="do not cover"):
        verify(tape_of("assemble", [(F, (3,)), (F, (3,))], bad, (F, (6,))))


@pytest.mark.parametrize("indptr, indices", [([0, 2, 4], [0, 2, 1]), ([0, 3, 2], [0, 2, 1]), ([1, 2, 3], [0, 2, 1]),
                                             ([0, 2, 3], [0, 3, 1]), ([0, 2, 3], [0, -1, 1]), ([0, 3], [0, 2, 1])])
def test_sparse_patterns_out_of_range_are_refused(indptr, indices):
    with pytest.raises(TapeFileError, match="row pointers|column"):
        verify(tape_of("spmm", [(F, (3,)), (F, (3,))], T.Csr(2, 3, 1, indptr, indices), (F, (2,))))


def test_a_reduction_over_nothing_is_refused():
    for name in ("maxr", "argmin"):
        result = F if name == "maxr" else Z
        with pytest.raises(TapeFileError, match="nothing to reduce"):
            verify(tape_of(name, [(F, (0,))], T.Axis(1, 0, 1), (result, ())))
    verify(tape_of("sum", [(F, (0,))], T.Axis(1, 0, 1), (F, ())))


def test_the_message_names_instruction_primitive_and_place():
    tape = T.Tape()
    x = tape.emit_input(T.aval(0, (3,)))
    tape.set_outputs([tape.emit("exp", (x,), T.aval(0, (4,)), None, "model.py:7")])
    with pytest.raises(TapeFileError, match=r"instruction 2 \(exp, model.py:7\): .*\(3,\).*\(4,\)"):
        verify(tape.finish())


@pytest.mark.parametrize("name", PROGRAMS)
def test_recorded_tapes_are_well_formed(name):
    f, *point = PROGRAMS[name]
    tape = record(f, *point)
    verify(tape)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("transform", ["jvp_tape", "vjp_tape"])
def test_derivative_tapes_are_well_formed(name, transform):
    f, *point = PROGRAMS[name]
    first = getattr(record(f, *point), transform)()
    verify(first)
    verify(first.jvp_tape())
