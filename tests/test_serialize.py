"""Files of tapes: what is read is what was written, and no damaged or hostile file does more than raise TapeFileError.

Owns: round trips, truncation, random flips, headers with bad intentions (signed with the right checksum, so that only
verify.py stands between them and a sweep).  Next: test_verify.py (a rule for every primitive).
"""
import collections
import copy
import json
import pickle
import random
import zlib

import numpy as np
import pytest
from programs import PROGRAMS

import fastad as ad
from fastad import _tape as T
from fastad import serialize, signature_json
from fastad.errors import AdError, TapeDivergence, TapeFileError, UnsupportedError
from fastad.recording import record

FLIPS = 3000
LIES = 3000


def bits(value):
    """Every bit of a tree of results."""
    if isinstance(value, dict):
        return {key: bits(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(x) for x in value]
    return np.asarray(value).dtype, np.shape(value), np.asarray(value).tobytes()


def branching(x, n, scale):
    total = np.zeros(3)
    for i in range(n):
        total[i] = np.exp(x[i]) if x[i] > 0 else x[i] * scale
    return total.sum(), total[::-1]


@pytest.fixture(scope="module")
def tape():
    return record(branching, np.array([0.5, -1.0, 2.0]), 3, 1.5)


@pytest.fixture(scope="module")
def data(tape):
    return serialize.dumps(tape)


# ---- round trips -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PROGRAMS)
def test_round_trip(name, tmp_path):
    f, *point = PROGRAMS[name]
    tape = record(f, *point)
    tape.save(tmp_path / "a.tape")
    again = T.Tape.load(tmp_path / "a.tape")
    assert serialize.dumps(again) == (tmp_path / "a.tape").read_bytes()
    assert bits(again(*point)) == bits(tape(*point))
    assert [tape.instruction(i)[:3] for i in range(len(tape))] == [again.instruction(i)[:3] for i in range(len(tape))]
    assert [tape.location(i) for i in range(len(tape))] == [again.location(i) for i in range(len(tape))]
    assert bits(again.gradient(*point)) == bits(tape.gradient(*point))
    assert bits(pickle.loads(pickle.dumps(tape))(*point)) == bits(tape(*point))


def test_guards_inactive_inputs_and_statics_survive(tape):
    again = pickle.loads(pickle.dumps(tape))
    with pytest.raises(TapeDivergence) as caught:
        again(np.array([0.5, 1.0, 2.0]), 3, 1.5)
    assert caught.value.kind == "bool()" and "test_serialize.py:" in caught.value.location
    with pytest.raises(AdError, match="static"):
        again(np.array([0.5, -1.0, 2.0]), 2, 1.5)
    fixed = record(branching, np.array([0.5, -1.0, 2.0]), 3, 1.5, argnums=0)
    assert serialize.loads(serialize.dumps(fixed)).gradient(np.array([0.5, -1.0, 2.0]), 3, 1.5)[2] is None


def test_captured_arrays_are_stored_by_value():
    wide = np.arange(12.0).reshape(3, 4)
    view, weights = wide[:, ::2], np.float32([1.0, 2.0])
    tape = record(lambda x: (view @ (x * weights)).sum(), np.ones(2))
    again = serialize.loads(serialize.dumps(tape))
    before = tape(np.ones(2))
    wide[:] = 0.0
    assert tape(np.ones(2)) == 0.0
    assert again(np.ones(2)) == before


def test_special_numbers_keep_their_bits():
    payload = np.array([0x7FF8000000000123, 1], dtype=np.int64).view(np.float64)
    strange = [np.inf, -np.inf, -0.0, 5e-324, float(payload[0])]

    def f(x):
        return [x * c for c in strange], x * payload, np.full(3, -0.0) * x
    tape = record(f, 1.0)
    assert serialize.dumps(serialize.loads(serialize.dumps(tape))) == serialize.dumps(tape)
    assert bits(serialize.loads(serialize.dumps(tape)).sweep([1.0])) == bits(tape.sweep([1.0]))


@pytest.mark.parametrize("transform", ["jvp_tape", "vjp_tape"])
def test_derivative_tapes_are_saved_as_well(transform):
    f, *point = PROGRAMS["layers"]
    first = getattr(record(f, *point), transform)()
    again = serialize.loads(serialize.dumps(first))
    values = [np.ones(3), np.arange(3.0)]
    assert bits(again.sweep(values)) == bits(first.sweep(values))
    assert again.boundary == first.boundary


def test_what_cannot_be_saved_says_why(tape):
    with pytest.raises(UnsupportedError, match="leaf 1 of its argument is a ufunc"):
        serialize.dumps(record(lambda x, g: g(x), 1.0, np.sin))
    cube = ad.primitive(lambda x: x**3, vjp=lambda w, y, x: (3.0 * w * x**2,))
    with pytest.raises(UnsupportedError, match="custom primitive .*<lambda>.*test_serialize.py:"):
        serialize.dumps(record(lambda x: np.sum(cube(x)), np.ones(2)))
    open_tape = T.open_recording()
    try:
        with pytest.raises(UnsupportedError, match="still being recorded"):
            serialize.dumps(open_tape)
    finally:
        T.close_recording(open_tape)


def test_saving_replaces_a_file_whole(tape, tmp_path):
    path = tmp_path / "a.tape"
    path.write_bytes(b"something else")
    with pytest.raises(UnsupportedError):
        record(lambda x, g: g(x), 1.0, np.sin).save(path)
    assert path.read_bytes() == b"something else"
    tape.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tape"]


# ---- damage ----------------------------------------------------------------------------------------------------------

def test_truncated_anywhere(data):
    for end in sorted({*range(64), *range(0, len(data), 97)}):
        with pytest.raises(TapeFileError, match="truncated"):
            serialize.loads(data[:end])
    with pytest.raises(TapeFileError, match="too many"):
        serialize.loads(data + b"\0")


def test_random_flips(data):
    draw = random.Random(1)
    for _ in range(FLIPS):
        changed = bytearray(data)
        for _ in range(draw.choice([1, 1, 2, 20])):
            changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        if changed == data:
            continue
        with pytest.raises(TapeFileError):
            serialize.loads(bytes(changed))


def test_newer_version_says_so(data):
    newer = serialize.HEAD.pack(serialize.MAGIC, serialize.VERSION + 1, *serialize.HEAD.unpack_from(data)[2:])
    with pytest.raises(TapeFileError, match="newer.*update fastad"):
        serialize.loads(newer + data[len(newer):])


@pytest.mark.parametrize("other", [b"PK\x03\x04 a zip file", b"\x80\x04\x95 a pickle", b"x" * 100])
def test_other_files_are_not_tapes(other, tmp_path):
    (tmp_path / "other").write_bytes(other)
    with pytest.raises(TapeFileError, match="other: this is not a fastad tape"):
        T.Tape.load(tmp_path / "other")


# ---- bad intentions: the checksum is right ---------------------------------------------------------------------------

def taken_apart(data):
    """(header, {array number: bytes})"""
    size = serialize.HEAD.unpack_from(data)[3]
    header = json.loads(data[serialize.HEAD.size:serialize.HEAD.size + size])
    return header, bytearray(data[serialize.HEAD.size + size:])


def signed(header, body):
    text = json.dumps(header).encode()
    text += b" " * (-(serialize.HEAD.size + len(text)) % 8)
    rest = text + bytes(body)
    return serialize.HEAD.pack(serialize.MAGIC, serialize.VERSION, zlib.crc32(rest), len(text), len(body)) + rest


def column(header, body, name):
    """A column of the file, to write into."""
    dtype, shape, offset = header["arrays"][header["columns"][name]]
    return np.frombuffer(body, serialize.DTYPES[dtype], int(np.prod(shape)), offset).reshape(shape)


def instruction_of(header, body, name):
    return int(np.flatnonzero(column(header, body, "op") == header["names"].index(name))[0])


def refused(data, change, match):
    header, body = taken_apart(data)
    change(header, body)
    with pytest.raises(TapeFileError, match=match):
        serialize.loads(signed(header, body))


def test_signing_again_is_neutral(data, tape):
    assert serialize.dumps(serialize.loads(signed(*taken_apart(data)))) == data


def test_hostile_sizes_are_refused_before_anything_is_allocated(data):
    def huge_array(header, body):
        header["arrays"][0][1] = [1 << 60]

    def huge_product(header, body):
        header["arrays"][0][1] = [1 << 40, 1 << 40]

    def huge_shape(header, body):
        header["avals"].append(["float64", False, [1 << 50]])

    def hidden_shape(header, body):
        header["avals"].append(["float64", False, [0, 1 << 50]])
    refused(data, huge_array, "outside of the file")
    refused(data, huge_product, "outside of the file")
    refused(data, huge_shape, "larger than any memory")
    refused(data, hidden_shape, "larger than any memory")


def test_hostile_numbers(data):
    def negative_extent(header, body):
        header["avals"][0][2] = [-1]

    def negative_offset(header, body):
        header["arrays"][0][2] = -8

    def bool_for_number(header, body):
        header["inputs"] = [True]

    def number_for_bool(header, body):
        header["active"][0] = 1

    def nan_output(header, body):
        header["outputs"][0] = float("nan")

    def large_output(header, body):
        header["outputs"][0] = 10**30
    for change in (negative_extent, negative_offset, bool_for_number, number_for_bool, nan_output, large_output):
        refused(data, change, "damaged")


def test_hostile_operands(data):
    def itself(header, body):
        i = instruction_of(header, body, "exp")
        column(header, body, "arg")[i, 0] = i

    def later(header, body):
        i = instruction_of(header, body, "exp")
        column(header, body, "arg")[i, 0] = len(column(header, body, "op")) - 1

    def none(header, body):
        column(header, body, "arg")[instruction_of(header, body, "exp"), 0] = 0

    def pool_out(header, body):
        column(header, body, "arg")[instruction_of(header, body, "stack"), 0] = 2**32 - 1

    def pool_count(header, body):
        start = column(header, body, "arg")[instruction_of(header, body, "stack"), 0]
        column(header, body, "pool")[start] = 2**32 - 1

    def pool_later(header, body):
        start = column(header, body, "arg")[instruction_of(header, body, "stack"), 0]
        column(header, body, "pool")[start + 1] = instruction_of(header, body, "stack")
    for change, match in ((itself, "not defined before"), (later, "not defined before"), (none, "not defined before"),
                          (pool_out, "out of the table"), (pool_count, "out of the table"),
                          (pool_later, "uses a later value")):
        refused(data, change, match)


def test_hostile_indices(data):
    def element(header, body):
        column(header, body, "arg")[instruction_of(header, body, "element"), 1] = 3

    def guard(header, body):
        column(header, body, "arg")[instruction_of(header, body, "guard"), 1] = 99

    def constant(header, body):
        column(header, body, "arg")[instruction_of(header, body, "const"), 0] = 99

    def attribute(header, body):
        column(header, body, "arg")[instruction_of(header, body, "stack"), 1] = 99

    def kind_of_value(header, body):
        column(header, body, "aval")[1] = 99

    def primitive(header, body):
        column(header, body, "op")[1] = 99

    def unknown(header, body):
        header["names"][header["names"].index("exp")] = "system"
    for change, match in ((element, "element.*bounds"), (guard, "guard out of the table"), (unknown, "'system'"),
                          (constant, "constant out of the table"), (attribute, "attribute of instruction"),
                          (kind_of_value, "kind of value out"), (primitive, "primitive out of the table")):
        refused(data, change, match)


def test_hostile_dtypes(data):
    def wrong_dtype(header, body):
        header["avals"] = [["int64" if a[0] == "float64" else a[0], *a[1:]] for a in header["avals"]]

    def foreign_dtype(header, body):
        header["avals"][0][0] = "object"

    def object_array(header, body):
        header["arrays"][0][0] = "object"

    def foreign_code(header, body):
        header["names"][header["names"].index("stack")] = "call"
    for change, match in ((wrong_dtype, "no loop for int64|dtype"), (foreign_dtype, "damaged"),
                          (object_array, "damaged"), (foreign_code, "foreign code|out of the table")):
        refused(data, change, match)


@pytest.mark.parametrize("kind", ["python/object", "call", "map "])
def test_attributes_of_unknown_kinds(data, kind):
    def change(header, body):
        header["attributes"][1][0] = kind
    refused(data, change, "damaged")


def test_deep_json_is_no_crash(data):
    text = b"[" * 100000 + b"]" * 100000 + b" " * 8
    text = text[:len(text) // 8 * 8]
    deep = serialize.HEAD.pack(serialize.MAGIC, serialize.VERSION, zlib.crc32(text), len(text), 0) + text
    with pytest.raises(TapeFileError):
        serialize.loads(deep)
    header, body = taken_apart(data)
    tree = "*"
    for _ in range(200):
        tree = ["tuple", [tree]]
    header["signature"]["out_tree"] = tree
    with pytest.raises(TapeFileError, match="structure"):
        serialize.loads(signed(header, body))


def places_in(tree, path=()):
    """Paths to all leaves and containers of a JSON document."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places_in(value, (*path, key))


LIES_TOLD = [-1, 0, 1, 2, 7, 255, 2**31, 2**32, 2**40, 2**62, 2**63, 10**40, True, False, None, "", "float64", "map",
             "nan", "*", 0.5, [], [0], [[]], {}, ["tuple", ["*"]]]


def lie(draw, header, body):
    """One value of the header, or some of the arrays' numbers, replaced."""
    if draw.random() < 0.5:
        path = draw.choice([p for p in places_in(header) if p])
        at = header
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = copy.deepcopy(draw.choice(LIES_TOLD))
        return
    dtype, shape, offset = draw.choice([a for a in header["arrays"] if np.prod(a[1])])
    numbers = np.frombuffer(body, serialize.DTYPES[dtype], int(np.prod(shape)), offset)
    small = draw.choice([0, 1, 2, 3, 5, 8, 255, 2**32 - 1])
    numbers[draw.randrange(len(numbers))] = numbers.dtype.type(small % 2**16 if dtype == "uint16" else small)


@pytest.mark.parametrize("name", ["shaped", "gather", "interpolated", "fill", "matrix_product", "cumulative"])
def test_random_lies_never_reach_a_sweep(name):
    """A file that lies and is signed is refused, or is a tape that can be swept (to whatever result or error)."""
    f, *point = PROGRAMS[name]
    data = serialize.dumps(record(f, *point))
    draw = random.Random(name)
    accepted = 0
    for _ in range(LIES // 6):
        header, body = taken_apart(data)
        lie(draw, header, body)
        try:
            tape = serialize.loads(signed(header, body))
        except TapeFileError:
            continue
        accepted += 1
        sweep_somehow(tape)
    assert accepted < LIES // 12


def sweep_somehow(tape):
    shapes = [T.aval_of(tape.instruction(i)[2]) for i in tape.inputs]
    if sum(np.prod(shape, dtype=float) for _, shape in shapes) > 1e6:
        return
    try:
        with np.errstate(all="ignore"):
            tape.sweep_gradient([np.ones(shape, T.DTYPES[dtype]) for dtype, shape in shapes], [1.0] * len(tape.outputs))
    except (AdError, MemoryError, IndexError, ValueError):
        pass


def test_names_of_inputs_are_saved():
    """Also those of derivative tapes; a file without them (written before there were any) has x0, x1 ..."""
    tape = record(lambda p, t: p["a"] * np.sin(t), {"a": 2.0}, 3.0)
    assert serialize.loads(serialize.dumps(tape)).signature.input_names() == ["p['a']", "t"]
    assert serialize.loads(serialize.dumps(tape.jvp_tape())).signature.input_names() == ["p['a']", "t", "d0", "d1"]
    old = signature_json.to_json(tape.signature)
    del old["parameters"]
    assert signature_json.from_json(old, 2, 1).input_names() == ["x0['a']", "x1"]


@pytest.mark.parametrize("parameters", [None, "p", [1], ["p", "\x1b[2J"], ["a\nb"], [["p"]]])
def test_names_that_are_no_text_are_damage(parameters):
    """They are printed: no control characters."""
    data = signature_json.to_json(record(lambda p, t: p * t, 2.0, 3.0).signature)
    data["parameters"] = parameters
    with pytest.raises(TapeFileError, match="names of parameters"):
        signature_json.from_json(data, 2, 1)


# ---- copies ----------------------------------------------------------------------------------------------------------

Pair = collections.namedtuple("Pair", "a b")


def scaled(p):
    return Pair(p.a * p.b, p.b.sum())


def test_named_tuples_survive_pickles_and_copies_and_are_tuples_in_files(tmp_path):
    point = Pair(2.0, np.array([1.0, 3.0]))
    tape = record(scaled, point)
    for again in (pickle.loads(pickle.dumps(tape)), copy.copy(tape), copy.deepcopy(tape)):
        y = again(point)
        assert type(y) is Pair and bits(y) == bits(tape(point)) and type(again.gradient(point)) is Pair
    tape.save(tmp_path / "a.tape")
    again = T.Tape.load(tmp_path / "a.tape")
    assert type(again(point)) is tuple and bits(again(point)) == bits(again(tuple(point))) == bits(tape(point))
    again.forward(point)
    assert bits(again.tangent(point)) == bits(again.tangent(tuple(point)))
    with pytest.raises(AdError, match="structure"):
        again(list(point))


def test_copies_within_the_process_keep_what_a_file_cannot_hold():
    weights = np.array([1.0, 2.0], dtype=np.float32)
    cube = ad.primitive(lambda x: x**3, vjp=lambda w, y, x: (3.0 * w * x**2,))

    class Model:
        def __init__(self):
            self.weights = weights
            self.tape = record(lambda x, g: np.sum(g(cube(x)) * self.weights), np.ones(2), np.sin)
    model, x = Model(), np.array([0.5, 0.25])
    shallow, deep = copy.copy(model.tape), copy.deepcopy(model)
    before = model.tape.gradient(x, np.sin)
    for tape in (shallow, deep.tape):
        assert bits(tape.gradient(x, np.sin)) == bits(before) and tape is not model.tape
    weights[:] = 0.0
    assert shallow(x, np.sin) == model.tape(x, np.sin) == 0.0      # bound to the same array
    assert bits(deep.tape.gradient(x, np.sin)) == bits(before)
    deep.weights[:] = 0.0                                          # and this one to the array that was copied along
    assert deep.tape(x, np.sin) == 0.0
