"""test_scan_arrays.py - arrays that a step or a side of a cond writes: its own, those around it, rows at positions.

Owns: that a scan is the loop of Python for steps that fill arrays as NumPy code does, or says why it is not.
Next: test_scan_meaning.py (states, structures), test_indexing.py (keys in straight code).
"""
import numpy as np
import pytest

import fastad as ad

X = np.array([0.6, 0.4, 0.9])


def loop(step, state, xs):
    """What ad.scan means."""
    ys = []
    for x in xs:
        state, y = step(state, x)
        ys.append(y)
    return state, None if ys[0] is None else np.array(ys)


def agree(f, x=X):
    """f(p, scan) by ad.scan and by a loop: value and gradient, plain and recorded."""
    assert f(x, ad.scan) == pytest.approx(f(x, loop), rel=1e-13)
    value, g = ad.value_and_grad(lambda p: f(p, loop))(x)
    other, h = ad.value_and_grad(lambda p: f(p, ad.scan))(x)
    assert other == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(h, g, rtol=1e-11, atol=1e-13)
    assert np.any(g)


# ---- arrays of the step, of values from around it -------------------------------------------------------------------

def eye(p, s):
    a = np.eye(3)
    a[0, 0] += p[0]
    a[1, 1] = s[1]
    return a @ s


def product(p, s):
    y = p * 2
    y[1:] += s[1:] * 0.1
    return y


def filled(p, s):
    y = np.zeros(3)
    y[0] = p[0]
    y[1] = s[0]
    y[2] = p[1] * s[2]
    return y


def numbers(p, s):
    y = np.array([p[0], p[1], 0.0])
    y[2] = s[1]
    return y * 0.5


def view(p, s):
    y = p.copy()
    v = y[1:]
    v *= s[1:]
    y[0] += v[0]
    return y


def mask(p, s):
    y = p + 0.0
    y[np.array([True, False, True])] = s[1:]
    y[y > 0.5] = s[0]
    return y


def accumulated(p, s):
    y = np.multiply(p, 0.5)
    np.add.at(y, [0, 0, 1], s)
    np.add(y, s, out=y)
    return y * 0.3


@pytest.mark.parametrize("step", [eye, product, filled, numbers, view, mask, accumulated])
def test_an_array_of_outer_values_is_written_by_the_step(step):
    def f(p, scan):
        s, _ = scan(lambda s, x: (step(p, s) * x, None), np.array([0.3, 0.5, 0.7]) * p[1], np.array([1.0, 0.9, 1.2]))
        return np.sum(s**2)
    agree(f)


def test_an_inner_function_writes_an_array_of_outer_values():
    def f(p):
        def inner(q):
            y = p * 2
            y[0] = q[0] * p[1]
            return np.sum(y * y * q)
        return np.sum(ad.grad(inner)(p * 0.5))
    exact = ad.grad(lambda p: 12 * p[0]**2 * p[1]**2 / 16 + 4 * (p[1]**2 + p[2]**2))(X)
    np.testing.assert_allclose(ad.grad(f)(X), exact, rtol=1e-12)


# ---- arrays from around the step ------------------------------------------------------------------------------------

def test_what_steps_add_to_an_array_around_them():
    def f(p, scan):
        acc, scaled = np.zeros(3), p * 2

        def step(s, x):
            acc[0] += s[0]
            acc[1] += p[1]
            scaled[1:] *= x
            return s + acc * p, acc[0] * scaled[2]
        s, ys = scan(step, np.array([0.3, 0.5, 0.7]) * p[1], np.array([1.0, 0.9, 1.2]))
        return np.sum(s**2) + np.sum(ys) + acc @ acc + scaled @ scaled
    agree(f)


def test_an_image_a_history_and_receivers_around_a_wave():
    """What is written is zero in the first step, where the step is recorded: no run of it shows that sums pile up."""
    n, steps, receivers = 12, 8, np.array([1, 4, 4])

    def f(p, scan):
        image, lap, history, data = np.zeros(n), np.zeros(n), np.zeros((steps, n)), np.zeros((steps, 3))
        calls = np.zeros(1)

        def step(s, t):
            u0, u1 = s
            lap[1:-1] = u1[2:] - 2 * u1[1:-1] + u1[:-2]
            u2 = 2 * u1 - u0 + 0.3 * p**2 * lap
            u2[3] += np.sin(1.0 * t)
            image[:] += u2 * u2
            history[t] = u2
            data[t, :] = u2[receivers]
            calls[0] += 1.0
            return (u1, u2), None
        (_, u), _ = scan(step, (np.zeros(n), np.zeros(n)), np.arange(steps))
        return np.sum(image**2) + np.sum((history - 0.1)**2) + np.sum(data**3) + u[5] * calls[0]
    agree(f, 1 + 0.05 * np.arange(n))


def test_loops_in_loops_write_arrays_around_all_of_them():
    def f(p, scan):
        acc, single, z = np.zeros(3), np.zeros(2, np.float32), np.zeros(3, complex)
        column = np.zeros((3, 4))[:, 1]

        def outer(s, x):
            def inner(v, y):
                acc[:] += v * y
                single[0] += v[1].astype(np.float32)
                z[0] += v[0] * np.exp(1j * v[1])
                z[1:] *= 1j
                z[2] += p[0]
                column[1:] += v[1:]
                return v * np.cos(y + p[0]), v[0]
            v, ys = scan(inner, s * x, np.arange(3.0) * p[1])
            acc[0] -= np.sum(ys)
            return v + acc[1], acc[0]
        s, ys = scan(outer, p * 1.0, np.array([0.3, 0.6, 0.9]))
        return np.sum(s) + acc @ acc + ys @ ys + single.sum() + np.sum(np.abs(z)**2) + column @ column
    agree(f)


def test_the_body_of_a_while_loop_writes_an_array_around_it():
    def f(p, scanned):
        total = np.zeros(2)

        def body(w):
            total[0] += w[0]
            return w * 0.5
        if scanned is ad.scan:
            w = ad.while_loop(lambda w: w[0] > 0.3, body, p * 3)
        else:
            w = p * 3
            while w[0] > 0.3:
                w = body(w)
        return total[0]**2 + w @ w
    agree(f)


def test_the_same_gradient_within_a_budget():
    def f(p):
        acc = np.zeros(500)

        def step(u, t):
            acc[:] += u * u
            return u + 0.1 * np.sin(u) * p, None
        u, _ = ad.scan(step, p, length=40)
        return acc @ acc + u.sum()
    x = np.linspace(0.1, 1.0, 500)
    whole = ad.grad(f, memory="1GB")(x)
    assert np.array_equal(ad.grad(f, memory=ad_smallest(f, x))(x), whole)


def ad_smallest(f, x):
    try:
        ad.grad(f, memory=1)(x)
    except ad.BudgetError as error:
        return int(str(error).split("smallest that works is ")[1].split()[0])
    raise AssertionError("one byte was enough")


@pytest.mark.parametrize("kind", ["list", "dict", "attribute"])
def test_what_a_step_puts_aside_and_reads_again_is_refused(kind):
    class Model:
        last = 0.0

    def f(p):
        kept, d, model = [], {}, Model()

        def step(s, _):
            if kind == "list":
                kept.append(s[0])
                return s * p + kept[0], None
            if kind == "dict":
                d["sum"] = d.get("sum", 0.0) + s[0]
                return s * p + d["sum"], None
            model.last = model.last + s[0]
            return s * p + model.last, None
        return np.sum(ad.scan(step, p, length=3)[0])
    with pytest.raises(ad.UnsupportedError, match="put aside.*part of the state"):
        ad.grad(f)(X)


def test_what_a_step_only_puts_aside_may_stay():
    def f(p):
        seen = []

        def step(s, _):
            seen.append(s[0])
            return s * p, None
        return np.sum(ad.scan(step, p, length=3)[0])
    np.testing.assert_allclose(ad.grad(f)(X), 4 * X**3, rtol=1e-13)


def test_a_complex_array_around_a_step_is_read():
    def f(p):
        z = np.zeros(3, complex)
        z[0] = 1j
        return np.sum(ad.scan(lambda s, _: (s * p + np.abs(z), None), p, length=3)[0])
    exact = ad.grad(lambda p: np.sum(p**4 + np.array([1.0, 0, 0]) * (1 + p + p * p)))(X)
    np.testing.assert_allclose(ad.grad(f)(X), exact, rtol=1e-13)


# ---- rows at traced positions ---------------------------------------------------------------------------------------

def keyed(write):
    def f(p, scan):
        def step(s, k):
            u, h = s
            u = u * 1.1 + np.roll(u, 1) * 0.2
            h = h.copy()
            u = write(u, h, k)
            return (u, h), None
        (u, h), _ = scan(step, (p[:3] * 2, np.outer(np.arange(7.0), p)), np.arange(7))
        return np.sum(h**2) + u.sum()
    return f


def row(u, h, k):
    h[k] = u
    return u


def column(u, h, k):
    h.T[:, k] = u
    return u


def piece(u, h, k):
    h[k, 1:] = u[:2]
    return u


def ring(u, h, k):
    h[k % 3] = u
    return u + 0.1 * h[(k - 1) % 3]


def shifted(u, h, k):
    h[k] = h[k - 1]
    return u + h[-k, ::-1] + h[..., k % 3][:3]


def added(u, h, k):
    h[k] += u
    h[k, :2] *= u[1]
    return u


@pytest.mark.parametrize("write", [row, column, piece, ring, shifted, added])
def test_rows_at_positions_that_change_from_step_to_step(write):
    agree(keyed(write))


def test_a_row_that_is_changed_or_outlived_says_that_it_is_no_view():
    def changed(u, h, k):
        r = h[k]
        r += u
        return u

    def written(u, h, k):
        h[k][:] = u
        return u

    def outlived(u, h, k):
        r = h[k]
        h[k] = u
        return u + r
    for write, text in (changed, r"a\[k\] \+= v"), (written, "written in place"), (outlived, "np.take"):
        with pytest.raises(ad.AdError, match=text):
            ad.grad(lambda p, write=write: keyed(write)(p, ad.scan))(X)


# ---- the sides of a cond --------------------------------------------------------------------------------------------

def test_each_side_of_a_cond_has_its_operands_for_itself():
    def doubled(u):
        u[1:] *= 2
        return u

    def replaced(u):
        u[0] = 7.0
        return u

    def f(p):
        u = p * 1.0
        v = ad.cond(p[0] > 0.5, doubled, replaced, u)
        s, _ = ad.scan(lambda s, _: (ad.cond(s[1] > 1.0, replaced, lambda u: u * 1.5, s), None), v, length=3)
        return np.sum(v * v) + u[0] * u[1] + np.sum(s * s)
    for x in (X, X[::-1] - 0.5):
        value, g = ad.value_and_grad(f)(x)
        assert value == f(x)
        h = 1e-6 * np.eye(3)
        np.testing.assert_allclose(g, [(f(x + e) - f(x - e)) / 2e-6 for e in h], rtol=1e-6)


@pytest.mark.parametrize("written", ["traced", "plain", "in a loop"])
def test_a_side_of_a_cond_that_writes_around_itself_is_refused(written):
    """Both sides run: what they write would be there whichever holds."""
    def f(p):
        a = np.zeros(2)

        def side(q):
            if written == "traced":
                a[0] += q[0]
            elif written == "plain":
                a[0] = 1.0
            else:
                def step(s, _):
                    a[1] += s[0]
                    return s, None
                ad.scan(step, q, length=2)
            return q
        return np.sum(ad.cond(p[0] > 0, side, lambda q: 2 * q, p)) + a[0]
    with pytest.raises(ad.TracerError, match="a side of a cond writes.*Return"):
        ad.grad(f)(X)
    assert np.isfinite(f(X)) and ad.grad(lambda p: np.sum(p * p))(X)[0] == 2 * X[0]


def test_a_condition_that_is_a_number():
    """To Python's while, what is not zero holds."""
    def f(p):
        return np.sum(ad.while_loop(lambda s: 3.0 - np.floor(s[0]), lambda s: s + p[0], p * 0 + 1)) \
            + np.sum(ad.while_loop(lambda s: s[1], lambda s: (s[0] * p, s[1] - 1), (p, 3))[0])
    x = np.array([1.0, 2.0, 3.0])
    value, g = ad.value_and_grad(f)(x)
    assert value == f(x) == 9 + 98
    np.testing.assert_allclose(g, [6 + 4, 32, 108], rtol=1e-13)


@pytest.mark.parametrize("start, factor", [(1, 1.5), (1.0, 1j), (1, 1j)])
def test_a_step_on_plain_values_runs_once_whatever_type_the_state_becomes(start, factor):
    """A state that begins as 1 where 1.0 or 1 + 0j is meant."""
    def f(p):
        total = np.zeros(2)

        def step(s, _):
            total[0] += np.abs(s) * p[0]
            return s * factor + p[1], s
        s, ys = ad.scan(step, start, length=3)
        return np.abs(s) + total[0] + np.sum(np.abs(ys)**2)

    def loop(p):
        total, s, ys = 0.0, start, []
        for _ in range(3):
            total, s, ys = total + np.abs(s) * p[0], s * factor + p[1], [*ys, s]
        return np.abs(s) + total + np.sum(np.abs(np.array(ys))**2)
    assert f(X) == pytest.approx(loop(X), rel=1e-14)
    value, g = ad.value_and_grad(f)(X)
    assert value == pytest.approx(loop(X), rel=1e-14)
    np.testing.assert_allclose(g, ad.grad(loop)(X), rtol=1e-12)


def test_an_array_of_an_inner_step_that_holds_values_of_outer_ones_alone():
    """The write is of the outer loop, the array of the inner one: it is nobody's state."""
    def f(p, scan):
        single = np.zeros(())

        def outer(u, k):
            def inner(v, j):
                w = p * 2
                w[k % 3] = p[0]
                w[j % 3] += p[1]
                single[()] += w[0] * v[0]
                return v * np.cos(w), v[0]
            u, ys = scan(inner, u * 1.0, np.arange(2))
            return u + ys[0], None
        return np.sum(scan(outer, p * 1.0, np.arange(4))[0]) + single * p[2]
    agree(f)


def test_rows_that_have_a_name_while_another_row_is_written():
    """As codes with buffers in a ring, or a history that they fill, are written; only a later use is refused."""
    def ring(p, scan):
        buffer = np.zeros((3, 3))
        buffer[0] = p

        def step(s, t):
            now, before = buffer[t % 3], buffer[(t - 1) % 3]
            buffer[(t + 1) % 3] = 2 * now - before + 0.1 * np.roll(now, 1) * p
            return s, None
        scan(step, 0.0, np.arange(7))
        return np.sum(buffer**2)

    def history(p, scan):
        h = np.zeros((6, 3))
        h[0] = p

        def step(k, _):
            u = h[k]
            h[k + 1] = u + 0.1 * np.sin(u) * p
            h[k + 1, 0] += 0.5
            return k + 1, h[k] @ p
        _, ys = scan(step, 0, np.arange(5))
        return np.sum(h**2) + np.sum(ys)
    agree(ring)
    agree(history)


@pytest.mark.parametrize("use", [lambda r: r, np.sum, lambda r: r[1], lambda r: r[::-1] * 2, lambda r: np.stack([r, r]),
                                 lambda r: ad.grad(lambda q: np.sum(q * r))(X), lambda r: r[np.array([0, 2])]])
def test_a_row_that_is_used_after_its_array_was_written_is_refused(use):
    def f(p):
        h = np.outer(np.ones(3), p)

        def step(k, _):
            r = h[k]
            h[k] = p * 2
            return k + 1, use(r)
        return np.sum(ad.scan(step, 0, length=3)[1]) + np.sum(h)
    with pytest.raises(ad.TracerError, match=r"test_scan_arrays.py:\d+: .*may have changed.*np.take"):
        ad.grad(f)(X)
