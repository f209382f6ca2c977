"""How lanes are swept: the bits of a tape of one lane, chunks, threads, memory; dense matrices of derivatives likewise.

Owns: the proof of lane_programs.py and of the bounds in unit_vectors.py.
Must not know: which lanes go together (test_batch_decisions.py).
"""
import threading
from functools import partial

import numpy as np
import pytest
from batch_cases import FUNCTIONS, agree, branching, looped, number, rng

import fastad as ad
from fastad import lane_programs, unit_vectors
from fastad.errors import BudgetError, UnsupportedError


def of_one_lane(f, lanes):
    """What the tape of one lane gives."""
    tape = ad.record(f, lanes[0])
    return np.stack([tape(x) for x in lanes])


@pytest.mark.parametrize("name", ["elementwise", "loop", "scan", "gather", "sort", "interpolation", "median", "fft"])
def test_bits_are_those_of_a_tape_of_one_lane(name):
    lanes = rng.normal(size=(700, 4))
    assert ad.batch(FUNCTIONS[name])(lanes).tobytes() == of_one_lane(FUNCTIONS[name], lanes).tobytes()


def test_bits_depend_neither_on_threads_nor_on_what_was_called_before(threads, monkeypatch):
    monkeypatch.setattr(lane_programs, "WORTH_A_THREAD", 0.0)
    lanes = rng.normal(size=(2600, 4))
    for f in (ad.grad(number("scan")), ad.grad(number("matmul")), branching):
        seen = set()
        for n in (1, 2, 7):
            threads(n)
            b = ad.batch(f)
            seen.add(b(lanes).tobytes())
            b(lanes[:100])
            seen.add(b(lanes).tobytes())
        assert len(seen) == 1


def test_chunks_are_few_programs_and_little_memory():
    lanes = rng.normal(size=(10_001, 4))
    b = ad.batch(ad.grad(lambda x: looped(x) * 1.0))
    y = b(lanes)
    for k in (0, 511, 512, 10_000):
        assert y[k].tobytes() == b(lanes[k:k + 1])[0].tobytes()
    (entry,) = b.cache.all()
    programs = {key[1]: p for key, p in entry.program.programs.items()}
    assert set(programs) == {512, 1} and programs[512].need < 2**20


def test_lanes_at_once_follow_from_the_sizes_of_results():
    def most(f, x): return lane_programs.LanePrograms(ad.record(f, x), None).most
    assert most(looped, np.ones(4)) == 512
    assert most(lambda x: np.sum(np.sin(x)), np.ones(100_000)) == 1
    table = rng.permutation(100_000)
    assert most(lambda x: looped(x[:4]) + sum([x[i] * x[i + 1] for i in range(5000)]) + x[table][0],
                np.ones(100_000)) <= 20
    assert [lane_programs.rounded_up(n) for n in (1, 15, 17, 100, 1000)] == [1, 15, 18, 104, 1024]


def test_memory():
    f = ad.grad(lambda x: np.sum(np.sin(np.outer(x, x)) @ np.cos(np.outer(x, x))))
    lanes = rng.normal(size=(40, 30))
    free, bound = ad.batch(f), ad.batch(f, memory="300kB")
    agree(bound(lanes), free(lanes), 1e-11)
    (entry,) = bound.cache.all()
    (program,) = entry.program.programs.values()
    assert program.need <= 300_000 and bound.stats().lanes_at_once == program.lanes < free.stats().lanes_at_once
    with pytest.raises(BudgetError, match="one lane at a time takes") as error:
        ad.batch(f, memory=1000)(lanes)
    agree(ad.batch(f, memory=error.value.smallest)(lanes), free(lanes), 1e-11)
    with pytest.raises(UnsupportedError, match="outermost"):
        ad.grad(lambda X: np.sum(ad.batch(f, memory="1MB")(X)))(lanes)


def test_errors_and_nested_batches_in_threads(threads, monkeypatch):
    monkeypatch.setattr(lane_programs, "WORTH_A_THREAD", 0.0)
    threads(3)
    inner = ad.batch(lambda y: y * 2)
    twice = ad.primitive(lambda x: inner(x), vjp=lambda w, y, x: (2 * w,))
    lanes = rng.normal(size=(1500, 3))
    agree(ad.batch(ad.grad(lambda x: np.sum(twice(x))))(lanes), np.full((1500, 3), 2.0))

    def fails(x):
        if x[0] > 2.5:
            raise RuntimeError("no")
        return x
    bad = ad.primitive(fails, vjp=lambda w, y, x: (w,))
    with pytest.raises(RuntimeError, match="no"):
        ad.batch(lambda x: bad(x))(np.concatenate([lanes, np.full((1, 3), 3.0)]))


def test_one_batch_in_several_threads_of_the_user(threads, monkeypatch):
    monkeypatch.setattr(lane_programs, "WORTH_A_THREAD", 0.0)
    threads(2)
    b = ad.batch(ad.value_and_grad(lambda x: branching(x)))
    points = [rng.normal(size=(n, 4)) for n in (3, 600, 1300)]
    alone = ad.grad(branching)
    wanted = [(np.array([branching(x) for x in X]), np.stack([alone(x) for x in X])) for X in points]
    wrong = []

    def work(first):
        for k in range(12):
            value, gradient = b(points[(first + k) % 3])
            wrong.append(not (np.allclose(value, wanted[(first + k) % 3][0])
                              and np.allclose(gradient, wanted[(first + k) % 3][1])))
    users = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(wrong) == 48 and not any(wrong)


# ---- dense matrices of derivatives: lanes of unit vectors ------------------------------------------------------------

@pytest.mark.parametrize("verb", [ad.jacobian, ad.hessian, partial(ad.jacobian, mode="reverse")])
def test_dense_matrices_are_computed_in_chunks_within_a_memory_bound(verb, monkeypatch):
    W = rng.normal(size=(90, 90)) / 9
    x = rng.normal(size=90)

    def f(x):
        y = np.tanh(W @ np.tanh(W @ x)) * x
        return np.sum(y**2) if verb is ad.hessian else y
    compiled = []
    monkeypatch.setattr(unit_vectors.Lanes, "sweeps", counting(unit_vectors.Lanes.sweeps, compiled))
    free = verb(lambda x: f(x))
    for _ in range(6):
        whole = free(x)
    monkeypatch.setattr(unit_vectors, "MOST_BYTES", 44_000)
    bound = verb(lambda x: f(x))
    for _ in range(6):
        np.testing.assert_allclose(bound(x), whole, rtol=1e-10, atol=1e-12)
    assert compiled[0].lanes == 64                           # two chunks, the second of 26
    assert compiled[-1].lanes <= 16 and compiled[-1].program.working_bytes() <= 44_000


def counting(method, found):
    def sweeps(self, *args):
        found.append(self)
        return method(self, *args)
    return sweeps


def test_matrices_inside_a_batch_take_one_tape_for_all_unit_vectors():
    tape = ad.record(ad.hessian(lambda x: np.sum(np.sin(x) * x[0])), rng.normal(size=50))
    assert len(tape) < 120
