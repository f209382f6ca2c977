"""Steps of time loops on a disk: the bits of the gradient that keeps everything, and what can happen to files.

The witness is the same gradient without a budget.
"""
import errno
import gc
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastad as ad
from fastad import optimize, tapes
from fastad.disk import Place
from fastad.memory import cuttable
from fastad.segments import Cut, Parts
from tests.random_tapes import random_tape
from tests.test_interrupt import Interrupt, soon  # noqa: F401 (a fixture)
from tests.test_memory import diffusion, logistic, same, twice, unrolled
from tests.test_scan import random_body

LINUX = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks for descriptors in /proc")


def smallest(f, *args, argnums=0):
    """The least budget that works."""
    with pytest.raises(ad.BudgetError) as caught:
        ad.grad(f, argnums, memory=64)(*args)
    return caught.value.smallest


def loop(kind, steps=60):
    if kind == "scan":
        return diffusion(steps)
    misfit, c = unrolled(steps)
    return lambda c: misfit(c)[0], c


LOOPS = pytest.mark.parametrize("kind", ["scan", "unrolled"])


def descriptors(folder):
    """Files of this process in a folder."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith(str(folder)):
                found.append(int(fd))
        except OSError:
            pass
    return found


# ---- bits ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, steps", [("scan", 7), ("scan", 62), ("scan", 600),
                                         ("unrolled", 7), ("unrolled", 31), ("unrolled", 80)])
def test_bits_are_those_of_the_gradient_that_keeps_everything(tmp_path, kind, steps):
    f, p = loop(kind, steps)
    want = ad.value_and_grad(f, audit=False, memory=10**9)
    points = [(x, want(x)) for x in (p, p * 0.9, p, p, p)]
    peak, least = want.stats().memory.peak, smallest(f, p)
    if least >= peak:
        assert steps == 7
        return
    used = 0
    for memory in (least, (2 * least + peak) // 3):
        for most in (None, max(8_192, 4 * (peak - least) // 5), 20_000):
            g = ad.value_and_grad(f, audit=False, memory=memory, disk=tmp_path if most is None else (tmp_path, most))
            for k, (point, (value, gradient)) in enumerate(points):  # (plans change after some sweeps)
                got = g(point)
                same(got[0], value)
                same(got[1], gradient)
                report = g.stats().memory
                assert report.peak <= memory and (most is None or report.disk <= most)
                used += report.disk > 0
                if k == 0 and most is None:
                    assert report.recomputed == 1.0 and report.disk > 0
    assert used > 5 and os.listdir(tmp_path) == []


@pytest.mark.parametrize("seed", range(1, 40, 9))
def test_random_bodies(tmp_path, seed):
    f, p = random_body(seed)
    longer = twice(f)
    want = ad.value_and_grad(longer, audit=False, memory=10**9)
    value, gradient = want(p)
    least = smallest(longer, p)
    if least >= want.stats().memory.peak:
        return
    for most in (10**9, 3000):
        try:
            got = ad.value_and_grad(longer, audit=False, memory=least, disk=(tmp_path, most))(p)
        except ad.BudgetError as error:
            assert most == 3000 < error.smallest
            continue
        same(got[0], value)
        same(got[1], gradient)


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_random_tapes_cut_anywhere(tmp_path, seed):
    """Unequal segments, with whatever crosses: integers, flags, results, values that are read long after."""
    rng = np.random.default_rng(seed)
    tape, values = random_tape(rng, length=int(rng.integers(5, 60)))
    if not any(tape.input_active) or not tapes.real_outputs(tape):
        return
    with np.errstate(all="ignore"):
        want = tapes.program(tapes.with_seed(tape, tapes.vjp_tape(tape), 1.0)).run(values)
        gradient, algebra = cuttable(tape, 1.0)
        inner = range(2, max(3, gradient.boundary))
        cut = Cut(gradient, algebra, sorted(rng.choice(inner, size=min(9, len(inner)), replace=False).tolist()))
        parts = Parts(cut)
        for room in (cut.least(), 3 * cut.least() + 2 * cut.snapshot):
            for most in (None, 2 * cut.record):
                program = cut.program(room, parts, Place(str(tmp_path), most))
                for _ in range(3):
                    for a, b in zip(program.run(values), want, strict=True):
                        assert np.shape(a) == np.shape(b)
                        same(a, b)


@pytest.mark.parametrize("reverse", [False, True])
def test_loops_of_numbers_in_groups_of_steps(tmp_path, reverse):
    f = logistic(20_000, reverse)
    want = ad.value_and_grad(f, (0, 1), audit=False, memory=10**9)
    value, gradient = want(3.2, 0.7)
    least = smallest(f, 3.2, 0.7, argnums=(0, 1))
    for memory in (least, 3 * least):
        g = ad.value_and_grad(f, (0, 1), audit=False, memory=memory, disk=tmp_path)
        got = g(3.2, 0.7)
        same(got[0], value)
        same(got[1], gradient)
        assert g.stats().memory.recomputed == 1.0 and g.stats().memory.peak <= memory


@LOOPS
@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.complex64])
def test_other_dtypes(tmp_path, kind, dtype):
    x = (np.linspace(0.1, 1.0, 150) * (1.0 if dtype == np.float32 else 1.0 + 0.5j)).astype(dtype)

    def step(u, w):
        return (u + dtype(0.1) * np.sin(u) * x * w).astype(dtype), None

    def f(x0):
        if kind == "scan":
            u = ad.scan(step, x0, np.linspace(0.0, 1.0, 80).astype(x.real.dtype))[0]
        else:
            u = x0
            for w in np.linspace(0.0, 1.0, 80).astype(x.real.dtype):
                u = step(u, w)[0]
        return np.sum(np.abs(u) ** 2)
    want = ad.grad(f, audit=False, memory=10**9)
    gradient = want(x)
    g = ad.grad(f, audit=False, memory=smallest(f, x), disk=tmp_path)
    got = g(x)
    assert got.dtype == gradient.dtype == dtype
    same(got, gradient)
    assert g.stats().memory.disk > 0


# ---- verbs -----------------------------------------------------------------------------------------------------------

@LOOPS
def test_all_verbs(tmp_path, kind):
    f, p = loop(kind, 40 if kind == "unrolled" else 24)
    if kind == "unrolled":
        whole, c = f, p
        f, p = (lambda q: whole(c * (1.0 + q[0]) + 0.001 * q[1])), np.array([0.01, 0.02])
    calls = {"jacobian": lambda **m: ad.jacobian(lambda q: np.stack([f(q), q[0]]), mode="reverse", audit=False, **m)(p),
             "hessian": lambda **m: ad.hessian(lambda q: f(q * p), audit=False, **m)(np.ones(len(p))),
             "hvp": lambda **m: ad.hvp(f, audit=False, **m)(p, np.cos(p)),
             "vjp": lambda **m: ad.vjp(f, p, **m)[1](1.0)[0],
             "record": lambda **m: ad.record(f, p, **m).gradient(p)}
    for name, call in calls.items():
        with pytest.raises(ad.BudgetError) as caught:
            call(memory=64)
        same(call(memory=caught.value.smallest, disk=tmp_path), call(memory="1GB"))
        with pytest.raises(FileNotFoundError, match="no such directory"):
            call(memory="1GB", disk=tmp_path / name)
    pullback = ad.vjp(f, p, memory=smallest(f, p) + 1000, disk=tmp_path)[1]
    tape = ad.record(f, p, memory=smallest(f, p), disk=(str(tmp_path), "1GB"))
    for report in (pullback.memory, tape.stats().memory):
        assert report.disk > 0 and "on disk" in repr(report) and report.schedule
        assert pickle.loads(pickle.dumps(report.disk)) == report.disk


def test_an_objective_is_minimised(tmp_path):
    f, p = diffusion(80, n=10)
    free = optimize.Objective(lambda m: f(m) ** 2 + np.sum(m * m))
    with pytest.raises(ad.BudgetError) as caught:
        optimize.Objective(free.f, memory=64).value_and_grad(p)
    tight = optimize.Objective(free.f, memory=3 * caught.value.smallest, disk=tmp_path)
    np.testing.assert_allclose(tight.gradient(p), free.gradient(p), rtol=1e-12)
    np.testing.assert_allclose(tight.hvp(p, p), free.hvp(p, p), rtol=1e-7, atol=1e-9)
    bounds = [(-0.5, 0.5)] * len(p)
    got, want = (optimize.minimize(o, p * 0.3, method="L-BFGS-B", bounds=bounds, options={"maxiter": 4})
                 for o in (tight, free))
    assert got.fun == pytest.approx(want.fun, rel=1e-8)


def test_two_loops_share_a_disk(tmp_path):
    def f(p):
        u = ad.scan(lambda u, w: (np.sin(u * w) + 0.01 * p, None), p, np.linspace(0.9, 1.1, 50))[0]
        u = ad.scan(lambda u, _: (np.tanh(u * 1.1) * p, None), u, length=120)[0]
        return np.sum(u)
    p = np.linspace(0.1, 1.0, 64)
    gradient, least = ad.grad(f, audit=False, memory=10**9)(p), smallest(f, p)
    for most in (None, 50_000):
        g = ad.grad(f, audit=False, memory=least + 2000, disk=tmp_path if most is None else (tmp_path, most))
        for _ in range(3):
            same(g(p), gradient)
        assert len(g.stats().memory.schedule) == 2 and 0 < g.stats().memory.disk <= (most or 10**9)


# ---- bad input -------------------------------------------------------------------------------------------------------

def test_what_is_given_as_disk(tmp_path):
    for wrong, error, text in ((7, TypeError, "write a directory"), (b"x", TypeError, "write a directory"),
                               (("a", "b", "c"), TypeError, "write a directory"), ((1, "2GB"), TypeError, "directory"),
                               ((tmp_path, "much"), ValueError, "disk='much'"), ((tmp_path, 0), ValueError, "disk=0"),
                               (tmp_path / "none", FileNotFoundError, "no such directory; make it")):
        with pytest.raises(error, match=text):
            ad.grad(np.sum, memory="1GB", disk=wrong)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="no directory"):
        ad.grad(np.sum, memory="1GB", disk=tmp_path / "file")
    for verb in (ad.grad, ad.value_and_grad, ad.jacobian, ad.hessian, ad.hvp, ad.record, ad.vjp):
        with pytest.raises(ValueError, match=r"say how much of that there is: memory="):
            verb(np.sum, *([1.0] if verb in (ad.record, ad.vjp) else []), disk=tmp_path)


def test_a_directory_that_is_not_writable(tmp_path):
    f, p = diffusion(60)
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):                       # root may write anywhere, but makes no files there
        g = ad.grad(f, memory=smallest(f, p), disk="/proc")
        with pytest.raises(OSError, match="disk='/proc': no temporary file can be made there"):
            g(p)
    else:
        with pytest.raises(PermissionError, match="not writable"):
            ad.grad(f, memory="1GB", disk=folder)


def test_a_directory_that_vanishes(tmp_path):
    f, p = diffusion(60)
    folder = tmp_path / "mounted"
    folder.mkdir()
    g = ad.grad(f, memory=smallest(f, p), disk=folder)
    folder.rmdir()
    with pytest.raises(FileNotFoundError, match="no such directory"):
        g(p)
    folder.mkdir()
    same(g(p), ad.grad(f, audit=False, memory=10**9)(p))


@LOOPS
def test_too_small_a_bound(tmp_path, kind):
    f, p = loop(kind)
    memory = smallest(f, p)
    with pytest.raises(ad.BudgetError, match=r"disk=.* is too small for the steps.*smallest bound that is") as no:
        ad.grad(f, memory=memory, disk=(tmp_path, 20))(p)
    g = ad.grad(f, audit=False, memory=memory, disk=(tmp_path, no.value.smallest))
    same(g(p), ad.grad(f, audit=False, memory=10**9)(p))
    assert 0 < g.stats().memory.disk <= no.value.smallest
    with pytest.raises(ad.BudgetError):
        ad.grad(f, memory=memory, disk=(tmp_path, no.value.smallest - 1))(p)


def test_a_full_disk_is_an_error_before_the_sweep(tmp_path, monkeypatch):
    file = Place(str(tmp_path), None).open()
    with pytest.raises(OSError, match=r"needs 1e\+03 TB on the disk \(free: .*disk=\(") as caught:
        file.allot([(0, 10**15)])
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path)
    assert os.fstat(file.fd).st_size == 0
    calls = []
    f, x = disturbed(lambda: calls.append(1), inside=True)
    g = ad.grad(f, audit=False, memory=smallest(f, x) + 20_000, disk=tmp_path)
    found = os.statvfs(tmp_path)
    nearly_full = os.statvfs_result((found.f_bsize, 1000, found.f_blocks, 1, 1, *found[5:10]))
    monkeypatch.setattr(os, "statvfs", lambda _: nearly_full)
    with pytest.raises(OSError, match=r"needs .* on the disk \(free: 1 kB\)"):
        g(x)
    ran = len(calls)                                     # (when it was recorded)
    with pytest.raises(OSError, match="needs"):
        g(x)
    assert len(calls) == ran
    monkeypatch.undo()
    same(g(x), ad.grad(f, audit=False, memory=10**9)(x))


LIMITED = """
import resource, sys
import numpy as np
import fastad as ad
from tests.test_memory import diffusion
f, p = diffusion(300)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
g = ad.grad(f, audit=False, memory=int(sys.argv[1]), disk=sys.argv[2])
try:
    g(p)
except OSError as error:
    print(error.errno, error)
"""


def test_a_file_that_may_not_be_so_large(root, tmp_path):
    f, p = diffusion(300)
    out = subprocess.run([sys.executable, "-c", LIMITED, str(smallest(f, p)), str(tmp_path)], cwd=root, text=True,
                         capture_output=True, check=True).stdout
    assert out.startswith(f"{errno.EFBIG} ") and "needs" in out and str(tmp_path) in out


# ---- what happens on the way -----------------------------------------------------------------------------------------

def disturbed(disturb, inside=False):
    """f(x) of a loop, with code of the user's behind it, or in its steps, that is run in each sweep."""
    def called(x):
        disturb()
        return x * 1.0
    same_value = ad.primitive(called, vjp=lambda w, y, x: (w,))

    def f(x):
        def step(u, w):
            u = u + 0.1 * np.sin(u) * w * x
            return (same_value(u) if inside else u), None
        u = ad.scan(step, x, np.linspace(0.0, 1.0, 120))[0]
        return np.sum(u if inside else same_value(u))
    return f, np.linspace(-0.5, 1.0, 300)


@LINUX
def test_a_file_that_is_too_short_is_an_error_and_no_gradient(tmp_path):
    spoil = []
    f, x = disturbed(lambda: spoil and [os.ftruncate(fd, 5000) for fd in descriptors(tmp_path)])
    want, memory = ad.grad(f, audit=False, memory=10**9)(x), smallest(f, x) + 20_000
    g = ad.grad(f, audit=False, memory=memory, disk=tmp_path)
    same(g(x), want)
    spoil.append(1)
    with pytest.raises(OSError, match=r"reading \d+ bytes at byte \d+ of a temporary file .*shorter") as caught:
        g(x)
    assert caught.value.filename == str(tmp_path) and caught.value.errno == errno.EIO
    spoil.clear()
    del caught                                           # (with the frames that had the file)
    gc.collect()
    same(g(x), want)                                     # with another file
    assert len(descriptors(tmp_path)) == 1


@pytest.mark.parametrize("kind", ["scan"])
def test_a_write_that_fails(tmp_path, kind):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    spoil = []
    f, x = disturbed(lambda: spoil and resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard)), inside=True)
    want = ad.grad(f, audit=False, memory=10**9)(x)
    g = ad.grad(f, audit=False, memory=smallest(f, x) + 20_000, disk=tmp_path)
    same(g(x), want)
    spoil.append(1)
    try:
        with pytest.raises(OSError, match=r"writing \d+ bytes at byte \d+ of a temporary file") as caught:
            g(x)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert caught.value.errno == errno.EFBIG
    spoil.clear()
    same(g(x), want)


@LINUX
def test_nothing_remains(tmp_path):
    """No names of files at any time; descriptors as long as there are programs that use them, and one each."""
    seen = []
    f, x = disturbed(lambda: seen.append((len(os.listdir(tmp_path)), len(descriptors(tmp_path)))))
    g = ad.grad(f, audit=False, memory=smallest(f, x) + 20_000, disk=tmp_path)
    for _ in range(5):
        g(x)
    assert seen[-1] == (0, 1) and len(descriptors(tmp_path)) == 1
    threads = len(os.listdir("/proc/self/task"))
    g(x)
    assert len(os.listdir("/proc/self/task")) == threads
    g.clear()
    gc.collect()
    assert descriptors(tmp_path) == []
    g(x)
    assert len(descriptors(tmp_path)) == 1


KILLED = """
import os, signal, sys
import numpy as np
from tests.test_disk import disturbed, smallest
import fastad as ad
calls = []
f, x = disturbed(lambda: calls.append(1) or len(calls) > 5 and os.kill(os.getpid(), signal.SIGKILL))
g = ad.grad(f, audit=False, memory=smallest(f, x) + 20_000, disk=sys.argv[1])
for _ in range(5):
    g(x)
    assert g.stats().memory.disk > 0
"""


def test_a_killed_process_leaves_nothing(root, tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir(tmp_path) == []


@LOOPS
def test_several_threads_have_files_of_their_own(tmp_path, kind):
    f, p = loop(kind)
    g = ad.grad(f, audit=False, memory=smallest(f, p) + 5000, disk=tmp_path)
    points = [p * (1.0 + 0.01 * k) for k in range(4)]
    free = ad.grad(f, audit=False, memory=10**9)
    want = [free(point) for point in points]
    same(g(p), want[0])                                  # (recorded once)
    with ThreadPoolExecutor(3) as pool:
        for got, known in zip(pool.map(g, points * 10), want * 10, strict=True):
            same(got, known)
    if os.path.isdir("/proc/self/fd"):
        assert 1 <= len(descriptors(tmp_path)) <= 3


@LOOPS
def test_after_a_fork_both_have_files_of_their_own(tmp_path, kind):
    f, p = loop(kind)
    free = ad.grad(f, audit=False, memory=10**9)
    g = ad.grad(f, audit=False, memory=smallest(f, p) + 5000, disk=tmp_path)
    points = [(p * (1.0 + 0.1 * k), free(p * (1.0 + 0.1 * k))) for k in range(2)]
    same(g(p), points[0][1])
    child = os.fork()
    point, known = points[0 if child else 1]
    found = [g(point).tobytes() for _ in range(20)]
    good = set(found) == {known.tobytes()}
    if child == 0:
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0 and good


def test_ctrl_c_and_a_handler_that_sweeps(tmp_path, soon):                               # noqa: F811
    def f(x):
        u = ad.scan(lambda u, w: (u + 0.1 * np.sin(u) * w * x, None), x, np.linspace(0.0, 1.0, 400))[0]
        return np.sum(u)
    x = np.linspace(-0.5, 1.0, 20_000)
    g = ad.grad(f, audit=False, memory=smallest(f, x) + 10**6, disk=tmp_path)
    want = g(x)
    start = time.perf_counter()
    g(x)
    whole = time.perf_counter() - start
    threads = threading.active_count()
    for part in (0.3, 0.7):
        with pytest.raises(Interrupt):
            soon(part * whole)
            for _ in range(50):
                g(x)
        same(g(x), want)
    assert threading.active_count() == threads
    inner = []
    before = signal.signal(signal.SIGALRM, lambda *_: inner.append(g(x)))
    try:
        soon(0.4 * whole)
        while not inner:
            same(g(x), want)
    finally:
        signal.signal(signal.SIGALRM, before)
    same(inner[0], want)


def square_sum(x):
    return np.sum(ad.scan(lambda u, _: (np.sin(u) * x, None), x, length=80)[0])


def test_it_pickles(tmp_path):
    x = np.linspace(0.5, 1.0, 50)
    memory = smallest(square_sum, x)
    for verb in (ad.grad, ad.value_and_grad, ad.jacobian, ad.hvp, ad.hessian):
        g = pickle.loads(pickle.dumps(verb(square_sum, memory=memory, disk=(tmp_path, "1GB"))))
        assert g.memory == memory and g.disk.given() == (str(tmp_path), 10**9)
    g = pickle.loads(pickle.dumps(ad.grad(square_sum, audit=False, memory=memory, disk=tmp_path)))
    same(g(x), ad.grad(square_sum, audit=False, memory=10**9)(x))
    assert g.stats().memory.disk > 0


def test_the_page_says_what_runs(root, tmp_path):
    """The code of docs/memory.md."""
    code = (root / "docs" / "memory.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "page.py").write_text(code)
    out = subprocess.run([sys.executable, tmp_path / "page.py"], cwd=root, text=True, capture_output=True, check=True,
                         env={**os.environ, "PYTHONPATH": str(root)}).stdout
    assert "runs of each step" in out


def test_inside_another_recording_it_is_refused(tmp_path):
    total = ad.sum_over([1.0, 2.0], lambda p, w: np.sum(ad.grad(square_sum, memory="1GB", disk=tmp_path)(p * w)))
    with pytest.raises(ad.UnsupportedError, match="outermost verb"):
        total(np.ones(5))
