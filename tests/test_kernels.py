"""The C kernels alone: compiled with the sanitizers, run without Python.

Owns: the compiler call.  Must not know: what the kernels do (tests/kernels/test_kernels.c does).
Next: tests/kernels/builder.h (programs and the derivative check), fastad/_kernels/layout.h (what is tested).
"""
import os
import shutil
import subprocess

import pytest

WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror=implicit-function-declaration"]
ARITHMETIC = ["-ffp-contract=off", "-fno-math-errno"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]


def build(root, target, flags, source="test_kernels.c"):
    """Compile the C test program; return what the compiler said."""
    folder = root / "tests" / "kernels"
    command = [os.environ.get("CC", "gcc"), *WARNINGS, *ARITHMETIC, *flags, f"-I{root / 'fastad' / '_kernels'}",
               str(folder / source), "-o", str(target), "-lm", "-pthread"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def fails_with(root, folder, header, right, wrong, source="test_kernels.c"):
    """Assert that the C test program fails on a copy of the kernels in which one expression is another."""
    kernels = folder / "fastad" / "_kernels"
    shutil.copytree(root / "fastad" / "_kernels", kernels)
    shutil.copytree(root / "tests" / "kernels", folder / "tests" / "kernels")
    text = (kernels / header).read_text()
    assert text.count(right) == 1, f"{header} no longer holds {right!r} once: choose another expression"
    (kernels / header).write_text(text.replace(right, wrong))
    build(folder, folder / "wrong", ["-O0", "-w"], source)
    done = subprocess.run([folder / "wrong"], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0, done.stdout[-1000:]


THREADS = ["-O1", "-g", "-fsanitize=thread"]


@pytest.mark.parametrize("name, flags", [("sanitized", [*SANITIZERS, "-DFA_MOST_REGISTERS=12"]),
                                         ("optimised", ["-O3"])])
def test_kernels_agree_with_naive_loops(root, tmp_path, name, flags):
    said = build(root, tmp_path / name, flags)
    assert "warning" not in said, said
    done = subprocess.run([tmp_path / name], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    checks = int(done.stdout.split()[0])
    assert checks > 100_000, f"only {checks} checks ran"


def test_threads_share_loops_without_races(root, tmp_path):
    """The pool and the loops that it shares, under the thread sanitizer."""
    build(root, tmp_path / "threads", THREADS)
    done = subprocess.run([tmp_path / "threads", "threads"], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1 die_after_fork=0"})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert int(done.stdout.split()[0]) > 100_000


def test_benchmark_mode_runs(root, tmp_path):
    """Prints nanoseconds an instruction (never asserted), and d x / d alpha from both modes, which must agree."""
    build(root, tmp_path / "bench", ["-O3"])
    done = subprocess.run([tmp_path / "bench", "bench"], capture_output=True, text=True, timeout=300)
    print(done.stdout)
    reverse, tangent = (float(done.stdout.split(mark)[0].split()[-1]) for mark in ("(reverse)", "(tangent)"))
    assert done.returncode == 0
    assert reverse == pytest.approx(tangent, rel=1e-9)


@pytest.mark.parametrize("header, right, wrong", [
    ("move.h", "m.s = -m.s;", ";"),
    ("reduce.h", "a[j].key < a[i].key", "a[j].key <= a[i].key"),
    ("reverse_real.h", "across.transpose = !A->transpose;", ""),
    ("reverse_real.h", "if (shared && q.batch != 1) {", "if (0) {"),
    ("tangent_real.h", "ties > 1 ? sum / (FA_REAL)ties : sum", "sum"),
    ("reverse_real.h", "fa_map_zero(o->attr, FA_DTYPE, w);", ";"),
    ("elementwise.h", "env->flags |= fa_fpflags();", ""),
    ("read.h", "d + below > 0 ? 0", "1 ? 0"),
    ("read.h", "run[k].hi < stop", "0"),
    ("chain.h", "rest, tile, item);", "rest, rest, item);"),
    ("chain.h", "(rest - tile) * item", "-tile * item"),
    ("chain_plan.h", "c->uses[out] > served", "0"),
    ("chain_plan.h", "x->at != y->at", "1"),
    ("chain_plan.h", "case FA_CHAIN_LESS: return FA_CHAIN_GREATER;", "case FA_CHAIN_LESS: return FA_CHAIN_LESS;"),
    ("chain_steps.h", "x - y; }", "y - x; }"),
    ("chain_steps.h", "(fa_tiny_where)(y, x, y != 0)", "(fa_tiny_where)(y, x, x != 0)"),
    ("chain_masks.h", "r = (V)(((V)((VBITS)X & numbers) OP (V)((VBITS)Y & numbers)) & numbers);", "r = (V)(X OP Y);"),
    ("product_rows.h", "y[i + l] += z[l];", "y[i + l] = z[l];"),
    ("chain_code.h", "fa_x86_general(b, 0x03, reg, fa_in_reg(FA_RCX));", ";"),
    ("chain_vectors.h", "fa_comparison(c, FA_K3, a, fa_in_reg(b), predicate, 0)",
     "fa_comparison(c, FA_K3, b, fa_in_reg(a), predicate, 0)"),
    ("chain_form.h", "others[slot] != here[slot]", "0"),
    ("reader.h", "m.s = -m.s;", ";"),
    ("patches.h", "r->doff + r->reach)", "r->doff + 1)"),
    ("patches.h", "f->patches[k].end < begin", "1"),
    ("axis.h", "leaf.level++;", ""),
    ("weave.h", "w->reach - w->shift[p]) * item;", "w->shift[p]) * item;"),
    ("fourier.h", "s0 + lo * c0", "s0 + hi * c0"),
    ("fourier_stages.h", "mirror ? -f * im", "mirror ? f * im"),
    ("fourier_columns.h", "for (int t = 1; t < r; t++) sum", "for (int t = 2; t < r; t++) sum"),
    ("pack_real.h", "(FA_R(fa_pack))((FA_R(fa_pack_mask))p & mask)", "p"),
])
def test_a_wrong_kernel_fails(root, tmp_path, header, right, wrong):
    """The tests are tested: one changed expression must be found."""
    fails_with(root, tmp_path, header, right, wrong)
