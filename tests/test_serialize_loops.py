"""Files of tapes with loops (scan, while_loop, cond) and partitions: same bits after a round trip, no crash by a lie.

Owns: what tests of plain tapes (test_serialize.py) do not reach: the body of a loop is a tape inside of the file.
"""
import copy
import pickle
import random

import numpy as np
import pytest
from test_serialize import bits, column, instruction_of, lie, refused, signed, taken_apart

import fastad as ad
from fastad import _tape as T
from fastad import serialize, tapes, trees
from fastad.errors import AdError, TapeFileError, UnsupportedError
from fastad.recording import record

LIES = 1500
WEIGHTS = np.array([0.3, -0.2, 0.9])


def decay(p):
    def step(u, dt):
        u = u - dt * np.exp(-p) * u
        return u, np.sum(u * u)
    u, path = ad.scan(step, np.ones(3), np.linspace(0.01, 0.2, 7))
    return np.sum(u * p) + np.sum(path)


def rotated_buffers(p):
    def step(state, w):
        u0, u1, k = state
        u2 = np.zeros(6)
        u2[1:-1] = 2 * u1[1:-1] - u0[1:-1] + p[:4] ** 2 * (u1[2:] - 2 * u1[1:-1] + u1[:-2])
        u2[2] += w
        return (u1, u2, k + 1), (u2[3], k)
    (_, last, k), (trace, ks) = ad.scan(step, (np.zeros(6), np.zeros(6), 0), np.sin(np.arange(9.0)), reverse=True)
    return np.sum(trace**2) + last[1] * k + np.sum(ks * trace)


def nested(p):
    def outer(s, row):
        v, path = ad.scan(lambda v, x: (v * np.cos(x * s) + np.sum(WEIGHTS * p), v), s, row)
        return v + np.sum(path), v
    return ad.scan(outer, p[0], np.outer(p, p))[0]


def roots(p):
    root = ad.while_loop(lambda x: np.sum(abs(x * x - p)) > 1e-9, lambda x: 0.5 * (x + p / x), p)
    return ad.cond(np.sum(root) > 1.0, lambda r: np.sum(r**3), lambda r: np.sum(r), root)


def single(p):
    def step(u, x):
        return np.tanh(u * x + p[0].astype(np.float32)), u
    u, us = ad.scan(step, np.full(2, 0.5, np.float32), np.arange(8, dtype=np.float32).reshape(4, 2))
    return np.sum(u) + np.sum(us * np.float32(0.5)) + np.sum(p)


def fourier(p):
    return np.sum(ad.scan(lambda u, _: (np.real(np.fft.ifft(np.fft.fft(u) * 0.5)) + p, None), p, length=3)[0] ** 2)


def partitioned(p):
    return np.sum(np.partition(np.sin(7.0 * p), 1)[:2] ** 2) + p[np.argpartition(p, [0, 2])[1]]


def partition_in_a_loop(p):
    return np.sum(ad.scan(lambda u, _: (np.partition(u, 1) * p, None), p + 1.0, length=4)[0])


FUNCTIONS = [decay, rotated_buffers, nested, roots, single, fourier, partitioned, partition_in_a_loop]
POINT = np.array([0.7, 0.4, 1.1])
LONGER = {rotated_buffers: np.array([0.7, 0.4, 0.6, 0.5])}


@pytest.mark.parametrize("f", FUNCTIONS)
def test_round_trips_give_the_same_bits(f, tmp_path):
    p = LONGER.get(f, POINT)
    record(f, p).save(tmp_path / "a.tape")
    for again in (T.Tape.load(tmp_path / "a.tape"), pickle.loads(pickle.dumps(record(f, p)))):
        tape = record(f, p)
        assert serialize.dumps(again) == (tmp_path / "a.tape").read_bytes()
        for _ in ("sweeps", "compiled"):
            for point in (p, p + 1e-12):
                assert bits(again(point)) == bits(tape(point))
                assert bits(again.gradient(point)) == bits(tape.gradient(point))
            product, other = (tapes.jvp_tape(tapes.gradient_tape(t)) for t in (tape, again))
            assert bits(other.sweep([p, p + 1.0])) == bits(product.sweep([p, p + 1.0]))
            tape.compile()
            again.compile()


@pytest.mark.parametrize("f", FUNCTIONS)
@pytest.mark.parametrize("derived", [tapes.gradient_tape, lambda t: tapes.jvp_tape(tapes.gradient_tape(t))])
def test_derivatives_of_loops_are_saved_as_well(f, derived):
    """They hold loops that go back, and loops that keep what these read."""
    tape = derived(record(f, LONGER.get(f, POINT)))
    again = serialize.loads(serialize.dumps(tape))
    values = [LONGER.get(f, POINT)] * len(tape.inputs)
    assert bits(again.sweep(values)) == bits(tape.sweep(values))
    assert bits(tapes.program(again).run(values)) == bits(tapes.program(tape).run(values))


def test_what_a_loop_has_captured_is_stored_by_value():
    table = np.array([1.0, 2.0])
    tape = record(lambda x: np.sum(ad.scan(lambda s, _: (s * x + table, None), np.zeros(2), length=3)[0]), 2.0)
    again = serialize.loads(serialize.dumps(tape))
    table[0] = 4.0
    assert tape(2.0) == 42.0 and again(2.0) == 21.0


def test_custom_code_in_the_body_is_named():
    cube = ad.primitive(lambda x: x**3, vjp=lambda w, y, x: (3.0 * w * x**2,))
    with pytest.raises(UnsupportedError, match="custom primitive .*<lambda>.*test_serialize_loops.py:"):
        serialize.dumps(record(lambda x: ad.scan(lambda s, _: (cube(s) * x, None), x, length=3)[0], 0.5))


def test_an_integer_that_float64_does_not_hold_is_caught_after_loading_too():
    tape = record(lambda x: x + ad.scan(lambda s, _: (s * 3, None), 1, length=30)[0], 1.0)
    again = serialize.loads(serialize.dumps(tape))
    assert again(1.0) == tape(1.0) == 1.0 + 3.0**30


def test_formats_say_which_fastad_reads_them():
    """Tapes without loops are written as before, so that an older fastad reads them; of others it says what to do."""
    tapes_of = [record(f, POINT) for f in (lambda p: np.sum(p * p), decay, partitioned)]
    plain, loop, order, adjoint = (serialize.HEAD.unpack_from(serialize.dumps(t))[1]
                                   for t in (*tapes_of, tapes.gradient_tape(tapes_of[1])))
    assert (plain, loop, order, adjoint, serialize.VERSION) == (1, 2, 2, 3, 3)


def test_a_derivative_of_format_2_is_refused():
    """What a loop keeps for its adjoint lay elsewhere: read as it lies now, it would be a wrong number."""
    def change(header, body):
        loop = loop_of(header)
        loop.update(kept=[0], late=0)
        del loop["records"]
    with pytest.raises(TapeFileError, match="older fastad"):
        header, body = taken_apart(serialize.dumps(record(decay, POINT)))
        change(header, body)
        serialize.loads(signed(header, body))


# ---- bad intentions --------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module", params=[decay, rotated_buffers], ids=lambda f: f.__name__)
def data(request):
    """The adjoint of a loop, too: it has kept states."""
    return serialize.dumps(tapes.gradient_tape(record(request.param, LONGER.get(request.param, POINT))))


def loop_of(header):
    return next(a[1] for a in header["attributes"] if a and a[0] == "scan")


def sources_of(header, body):
    dtype, shape, offset = header["arrays"][loop_of(header)["sources"]]
    return np.frombuffer(body, "<i8", int(np.prod(shape)), offset).reshape(shape)


# late: results in the first record
NUMBERS = {"ncarry": [0, 1, 9, 2**40], "nslice": [0, 9], "length": [0, 2**39, 2**62], "late": [9, 2**40]}


@pytest.mark.parametrize(("field", "value"), [(name, v) for name, values in NUMBERS.items() for v in values])
def test_counts_that_are_not_those_of_the_loop(data, field, value):
    def change(header, body):
        if field == "late":
            loop_of(header)["records"][0][1] = value
        else:
            loop_of(header)[field] = value
    if loop_of(taken_apart(data)[0]).get(field) != value:
        refused(data, change, "damaged")


@pytest.mark.parametrize("value", [[5], [0, 0], [-1], [2**40]])
def test_kept_states_that_are_none(data, value):
    def change(header, body):
        loop_of(header)["records"] = [[value, 0]]
    refused(data, change, "damaged")


@pytest.mark.parametrize("row", [[0, 10**6, 0], [0, -1, 0], [99, 0, 0], [-2, 0, 0], [0, 0, 1], [0, 0, 2**62]])
def test_states_that_begin_outside_of_their_operand(data, row):
    def change(header, body):
        sources_of(header, body)[0] = row
    refused(data, change, "damaged")


@pytest.mark.parametrize("part", [0, 1, 2])
def test_slices_and_fixed_inputs_outside_of_their_operand(data, part):
    def change(header, body):
        sources_of(header, body)[-1, part] = [-1, 10**6, 10**6][part]
    refused(data, change, "damaged")


def test_the_body_is_checked_as_any_tape(data):
    def change(header, body):
        inner = {**header, **loop_of(header)["body"]}
        names = inner["names"]
        name = next(n for n in names if n in ("multiply", "subtract", "add"))
        i = instruction_of(inner, body, name)
        column(inner, body, "arg")[i, 0] = 2**31
    refused(data, change, "not defined before")

    def captured(header, body):
        inner = loop_of(header)["body"]
        inner["names"] = ["capture" if n == "const" else n for n in inner["names"]]
        inner["captures"] = inner["constants"]
    if "const" in loop_of(taken_apart(data)[0])["body"]["names"]:
        refused(data, captured, "damaged")

    def foreign(header, body):
        next(a for a in header["attributes"] if a and a[0] == "scan")[0] = "call"
    refused(data, foreign, "damaged")


def test_loops_within_loops_without_end(data):
    """Refused before they reach the end of Python's stack, or of C's."""
    header, body = taken_apart(data)
    inner = loop_of(header)["body"]
    shell = next(a for a in header["attributes"] if a and a[0] == "scan")
    deep = inner
    for _ in range(80):
        wrapped = copy.copy(inner)
        wrapped["attributes"] = [None, ["scan", {**shell[1], "body": deep}]]
        deep = wrapped
    loop_of(header)["body"] = deep
    with pytest.raises(TapeFileError, match="50 loops within"):
        serialize.loads(signed(header, body))


def test_partitions_beyond_the_array():
    data = serialize.dumps(record(partitioned, POINT))
    for position, value in ((2, 7), (3, "sort"), (4, [3]), (4, [-4]), (4, ["0"]), (5, 1), (6, "mergesort"), (1, [-3])):
        def change(header, body, position=position, value=value):
            next(a[1] for a in header["attributes"] if a and a[0] == "library")[position] = value
        refused(data, change, "damaged")


@pytest.mark.parametrize("f", [decay, rotated_buffers, nested])
def test_random_lies_never_reach_a_loop(f):
    """A file that lies and is signed is refused, or is a tape that can be swept (to whatever result or error)."""
    data = serialize.dumps(record(f, LONGER.get(f, POINT)))
    draw = random.Random(f.__name__)
    accepted = 0
    for _ in range(LIES // 3):
        header, body = taken_apart(data)
        lie(draw, header, body)
        try:
            tape = serialize.loads(signed(header, body))
        except TapeFileError:
            continue
        accepted += 1
        scans = [a[1] for a in header["attributes"] if a and a[0] == "scan"]
        shapes = [T.aval_of(tape.instruction(i)[2]) for i in tape.inputs]
        if any(loop["length"] > 1000 for loop in scans) or sum(np.prod(s, dtype=float) for _, s in shapes) > 1e6:
            continue
        point = [np.ones(shape, T.DTYPES[dtype]) for dtype, shape in shapes]
        try:
            with np.errstate(all="ignore"):
                tape.sweep_gradient(point, [1.0] * len(tape.outputs))
                tapes.program(tapes.gradient_tape(tape)).run(point)
        except (AdError, MemoryError, IndexError, ValueError):
            pass
    assert accepted < LIES // 6


def test_copies_within_the_process_have_loops_of_their_own():
    tape = record(nested, POINT)
    again = copy.deepcopy(tape)
    assert bits(again.gradient(POINT)) == bits(tape.gradient(POINT))
    assert trees.count(again.signature.tree) == 1
