"""The full-waveform inversion of examples/fwi/: its waves against the exact ones, its run.

Next: test_examples_inversions.py (gravity, earthquake), example_scripts.py (how examples are loaded and run).
"""
import importlib
import sys

import numpy as np
import pytest
from scipy.integrate import quad

import fastad as ad
from tests.example_scripts import DATA, ROOT, run


@pytest.fixture(scope="module")
def fwi():
    """The modules of the example, imported as the script does: from its own folder."""
    sys.path.insert(0, str(ROOT / "examples" / "fwi"))
    try:
        yield {name: importlib.import_module(name) for name in ("acoustic", "sections", "invert")}
    finally:
        sys.path.pop(0)


def line_source(r, t, c, wavelet):
    """Pressure at distance r of a line source in a medium of velocity c (Morse and Feshbach 1953, 7.3.15)."""
    delay = r / c
    if t <= delay:
        return 0.0
    end = np.sqrt(t - delay)                          # tau = t - delay - s**2: no root at the end of the integral
    return quad(lambda s: 2.0 * wavelet(t - delay - s**2) / np.sqrt(s**2 + 2.0 * delay), 0.0, end,
                limit=200, epsabs=1e-12, epsrel=1e-9)[0] / (2.0 * np.pi * c**2)


def test_waves_agree_with_the_exact_solution_and_do_not_come_back(fwi):
    c, dx, dt, nt = 2000.0, 10.0, 0.002, 320
    survey = fwi["acoustic"].Survey([30], np.array([40, 60]), 30, dx, dt, nt, border=24)
    wavelet = fwi["acoustic"].ricker(dt * np.arange(nt), 12.0)
    traces = survey.traces(np.full((61, 81), c), wavelet)[:, 0]
    for k, column in enumerate(survey.receivers):
        exact = np.array([line_source((column - 30) * dx, dt * (j + 1), c,
                                      lambda s: float(fwi["acoustic"].ricker(s, 12.0))) for j in range(0, nt, 4)])
        error = np.abs(traces[::4, k] / dx**2 - exact)
        first = slice(0, int((0.2 + (column - 30) * dx / c) / dt) // 4)             # the wave itself: its shape
        assert np.max(error[first]) < 0.03 * np.max(np.abs(exact)), column
        assert np.max(error) < 0.08 * np.max(np.abs(exact)), column                 # later: echoes of the sponge


def test_the_gradient_is_exact(fwi):
    truth = fwi["sections"].built_in(14, 20)
    survey = fwi["invert"].survey_for(truth, 60.0, shots=2, seconds=0.6)
    bands = fwi["invert"].Bands(survey, truth, [None])
    start = 1e3 / fwi["sections"].smoothed(truth, 1, 2.0)
    wavelet, observed = bands.below(None)
    assert ad.check_derivatives(lambda s: fwi["invert"].misfit(s, survey, wavelet, observed), start)


def test_sections(fwi, tmp_path):
    sections = fwi["sections"]
    section = sections.built_in(51, 151)
    assert section.shape == (51, 151) and section[0].max() == 1500.0 and 3000.0 < section.max() < 4500.0
    np.save(tmp_path / "turned.npy", section.T)
    np.testing.assert_array_equal(sections.from_file(tmp_path / "turned.npy"), section)
    np.save(tmp_path / "bad.npy", np.zeros(3))
    with pytest.raises(SystemExit, match="two-dimensional"):
        sections.from_file(tmp_path / "bad.npy")
    np.save(tmp_path / "whole.npy", section.astype(int))
    np.testing.assert_array_equal(sections.from_file(tmp_path / "whole.npy"), section.astype(int))


@pytest.mark.parametrize(("change", "match"), [
    (lambda v: v / 1000, r"1\.5 to .* m/s.*are they km/s\? Multiply by 1000"),
    (lambda v: 3 * v, "1400 and 5500 is searched$"),
    (lambda v: np.where(v == 1500.0, np.nan, v), r"not finite, the first at \(0, 0\)"),
    (lambda v: v + 0j, "complex128"),
    (lambda v: v[:3], "at least 10 x 10"), (lambda v: np.array([None]), "can be read.*Object"),
])
def test_sections_that_make_no_sense(fwi, tmp_path, change, match):
    np.save(tmp_path / "section.npy", change(fwi["sections"].built_in(51, 151)), allow_pickle=True)
    with pytest.raises(SystemExit, match=match):
        fwi["sections"].from_file(tmp_path / "section.npy")
    with pytest.raises(SystemExit, match="No such file"):
        fwi["sections"].from_file(tmp_path / "none.npy")


def test_it_runs_and_the_model_improves(tmp_path):
    pytest.importorskip("matplotlib")
    done = run([str(ROOT / "examples" / "fwi" / "invert.py"), "--output", str(tmp_path / "fwi.png")])
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    errors = [float(words[-1]) for words in lines if words and words[0] in ("start", "below")]
    assert len(errors) == 3 and errors[-1] < 0.85 * errors[0], done.stdout
    assert (tmp_path / "fwi.png").stat().st_size > 50_000


def test_a_figure_that_cannot_be_written_is_refused_before_the_inversion(tmp_path):
    done = run([str(ROOT / "examples" / "fwi" / "invert.py"), "--output", str(tmp_path / "no" / "fwi.png")])
    assert done.returncode == 1 and "no directory that can be written to" in done.stderr and not done.stdout
    done = run([str(ROOT / "examples" / "fwi" / "invert.py"), "--output", str(tmp_path / "fwi.xyz")])
    assert done.returncode == 1 and "ends in .png" in done.stderr and not done.stdout
    done = run([str(ROOT / "examples" / "fwi" / "invert.py"), "--spacing", "inf"])
    assert done.returncode == 1 and "metres between two points" in done.stderr and not done.stdout


def test_it_reads_the_marmousi_section(tmp_path):
    model = DATA / "marmousi" / "marmousi2_202x68_vp_true.npy"
    if not model.exists():
        pytest.skip("the reference data are not beside the checkout")
    done = run([str(ROOT / "examples" / "fwi" / "invert.py"), "--model", str(model), "--spacing", "52.2222",
                "--output", str(tmp_path / "fwi.png")])
    assert done.returncode == 0, done.stderr
    assert "34 x 101 points of 104 m" in done.stdout
