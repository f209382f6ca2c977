"""Locate a real earthquake: `python examples/earthquake_location.py [--output figure.png]`.

The main shock of Anchorage, Alaska, on 30 November 2018, from 35 P arrivals: rays are traced through flat
layers, a robust loss keeps bad picks from pulling, the exact Jacobian gives the error ellipsoid, and the
result stands beside the catalogue's. The ray tracer is plain NumPy and knows nothing of fastad.
Read in this order: travel_times, locate, covariance, main. tests/test_examples_inversions.py proves the ray
tracer against rays found by bisection; gravity_basin.py is an inversion of many unknowns.
"""

import argparse
import functools
import os
import sys
import time
import timeit

import numpy as np

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"

# Sample data of NonLinLoc (A. Lomax, http://alomax.net/nlloc), event 2018-11-30 17:29:35. Station, then x (east),
# y (north), depth (negative: above sea level) in km, and the arrival of P in seconds after 17:29:00 UTC.
PICKS = [
    ("AK_RC01", 14.0814, 9.9332, -0.3900, 37.0400), ("AK_SSN", -39.8089, 51.8817, -1.3060, 38.3884),
    ("AT_PMR", 46.1491, 66.2909, -0.1000, 38.8800), ("AK_GHO", 56.6953, 86.3740, -1.0320, 41.3284),
    ("AK_KNK", 82.3084, 46.9963, -0.5980, 42.3684), ("AK_CAPN", -62.8803, -25.2610, -0.0470, 45.3484),
    ("AK_SLK", -12.2555, -54.3822, -0.6550, 43.9884), ("AK_SAW", 87.9646, 91.0412, -0.7810, 44.8084),
    ("AK_PWL", 90.5585, -14.6245, -0.5500, 45.3895), ("AK_SKN", -80.3077, 110.1399, -0.5810, 45.7084),
    ("AV_SPCG", -108.4188, 34.1306, -1.3290, 45.6600), ("AV_SPCP", -115.5968, 31.4831, -1.6160, 47.3080),
    ("AK_CUT", -13.5739, 156.6879, -0.5740, 47.4600), ("AV_SPCR", -118.7430, 24.3192, -0.9840, 47.0800),
    ("AK_SWD", 30.4489, -99.6652, -0.0770, 49.1284), ("AK_SCM", 140.6889, 95.5759, -1.0500, 51.2084),
    ("AV_RDT", -131.9721, -45.1925, -0.9300, 52.0400), ("AK_GLI", 157.6640, -9.9635, -0.4300, 52.2445),
    ("AK_WAT7", 58.7508, 204.8162, -1.2320, 54.5284), ("AK_WAT6", 116.1703, 178.1736, -1.6810, 54.9284),
    ("AK_BRSE", -41.6971, -139.9566, -0.5410, 54.7684), ("AV_RDWB", -156.2149, -53.7095, -1.5460, 54.9000),
    ("AK_BRLK", -50.9563, -138.7927, -0.4090, 54.9884), ("AK_FID", 185.5109, -25.5209, -0.5000, 56.0884),
    ("AK_HOM", -93.1125, -148.4338, -0.2210, 58.6684), ("AK_PPLA", -111.3681, 213.1967, -1.5190, 58.5484),
    ("AK_CNP", -70.0410, -163.6652, -0.5640, 58.7284), ("AK_HIN", 192.6700, -62.1501, -0.6229, 58.3345),
    ("AK_KLU", 217.0370, 61.6207, -1.0471, 59.0084), ("AV_ILNE", -170.5947, -101.0390, -1.6140, 60.3000),
    ("AK_DIV", 227.5020, 21.7345, -0.9414, 60.1284), ("AV_ILS", -171.4944, -112.1841, -1.1250, 61.3200),
    ("AV_ILSW", -175.3844, -109.0772, -1.3180, 61.4880), ("AK_TRF", -14.4406, 273.1461, -1.7099, 61.8284),
    ("AK_EYAK", 233.0342, -42.7188, -0.1339, 61.9084)]

# Its P velocities (km/s), and the depth (km) of the top of each layer; the first one reaches up to the stations.
TOP = np.array([0.0, 4.0, 9.0, 14.0, 19.0, 24.0, 33.0, 49.0, 66.0])
VELOCITY = np.array([5.30, 5.60, 6.20, 6.90, 7.40, 7.70, 7.90, 8.10, 8.30])

# x, y, depth (km), origin time (s): NonLinLoc (another robust misfit, travel times on a grid), and an independent
# program with the layers and the loss of this one, which is what we must reproduce.
CATALOGUE = np.array([2.734, 37.422, 44.937, 29.073])
REFERENCE = np.array([3.61, 37.01, 45.08])

STATION = [pick[0] for pick in PICKS]
EAST, NORTH, DEPTH, ARRIVAL = np.array([pick[1:] for pick in PICKS]).T
SCALE = 0.2                                        # s: residuals beyond it count less and less


# ---- the forward model ----

def crossed(upper, lower):
    """How much of each layer lies between two depths; a row for each pair."""
    below, above = np.append(TOP[1:], np.inf), np.append(-np.inf, TOP[1:])
    return np.maximum(np.minimum(lower[:, None], below) - np.maximum(upper[:, None], above), 0.0)


def direct(distance, h):
    """Time along the refracted ray through layers of thickness h (a row for each station).

    The unknown is t = tan of the angle in the fastest layer. The distance at which a ray arrives is a concave
    function of t, so Newton's method from 0 climbs to the root and never passes it.
    """
    fastest = np.max(np.where(h > 0.0, VELOCITY, 0.0), axis=1)
    ratio = np.minimum(VELOCITY / fastest[:, None], 1.0)
    t = np.zeros(distance.size)
    for _ in range(8):
        cosine = np.sqrt(1.0 + (t**2)[:, None] * (1.0 - ratio**2))         # times sqrt(1 + t**2)
        t = t + (distance - t * np.sum(h * ratio / cosine, axis=1)) / np.sum(h * ratio / cosine**3, axis=1)
    p = t / np.sqrt(1.0 + t**2) / fastest                                  # the ray parameter
    return p * distance + np.sum(h * np.sqrt(np.maximum(VELOCITY**-2 - (p**2)[:, None], 0.0)), axis=1)


def travel_times(x, y, z):
    """The first arrival at each station: the direct ray, or a head wave along a layer below the source."""
    distance = np.sqrt((EAST - x) ** 2 + (NORTH - y) ** 2)
    first = direct(distance, crossed(DEPTH, np.full(DEPTH.size, z)))
    for i in range(1, TOP.size):
        if z < TOP[i]:
            floor = np.full(DEPTH.size, TOP[i])
            h = (crossed(DEPTH, floor) + crossed(np.full(DEPTH.size, z), floor))[:, :i]
            slowness = np.sqrt(VELOCITY[:i] ** -2 - VELOCITY[i] ** -2)     # its vertical part
            critical = np.sum(h / slowness, axis=1) / VELOCITY[i]
            head = distance / VELOCITY[i] + np.sum(h * slowness, axis=1)
            first = np.where(distance > critical, np.minimum(first, head), first)
    return first


def residuals(m):
    """m holds x, y, depth (km) and the origin time (s)."""
    return m[3] + travel_times(m[0], m[1], m[2]) - ARRIVAL


# ---- the inversion ----

def locate(depths=(10.0, 25.0, 40.0, 65.0)):
    """Start below the station that felt it first. Where a head wave overtakes the direct ray the first arrival has a
    kink, and the misfit more than one minimum: of several starts the best is kept."""
    nearest, fits = np.argmin(ARRIVAL), []
    for depth in depths:
        start = np.array([EAST[nearest], NORTH[nearest], depth, ARRIVAL[nearest] - 8.0])
        with optimize.Progress(label=f"from {depth:g} km", every=10) as progress:
            fits.append(optimize.least_squares(residuals, start, loss="soft_l1", f_scale=SCALE, xtol=1e-10, ftol=1e-10,
                                               bounds=([-300, -300, 0, 0], [300, 300, 200, 60]), callback=progress))
        print(f"    depth {fits[-1].x[2]:.3f} km, misfit {fits[-1].cost:.6f}")
    return min(fits, key=lambda fit: fit.cost)


def covariance(J, r):
    """Of an M-estimate (Huber, Robust Statistics, 1981, section 7.6): what the loss's slope psi scatters, seen
    through its curvature psi'. Nothing is assumed about the picks' errors but that they are independent."""
    u = (r / SCALE) ** 2
    psi, curvature = r / np.sqrt(1.0 + u), (1.0 + u) ** -1.5
    inverse = np.linalg.inv(J.T @ (curvature[:, None] * J))
    n, p = J.shape
    return n / (n - p) * inverse @ (J.T @ (psi[:, None] ** 2 * J)) @ inverse


def axes_of(cov, level=3.53):
    """Semi-axes (km), azimuths and plunges of the 68 % ellipsoid (chi-squared, three unknowns), longest first."""
    values, vectors = np.linalg.eigh(cov[:3, :3])
    for value, axis in zip(values[::-1], vectors.T[::-1], strict=True):
        east, north, down = axis if axis[2] >= 0.0 else -axis
        plunge = np.arctan2(down, np.hypot(east, north))
        yield np.sqrt(level * value), np.degrees(np.arctan2(east, north)) % 360.0, np.degrees(plunge)


def report(m, r, cov):
    """The result beside the references, the ellipsoid, and the picks that were set aside, which are returned."""
    print("\n                    fitted  std error   reference   NonLinLoc")
    names, errors = ("x (km east)", "y (km north)", "depth (km)", "origin (s)"), np.sqrt(np.diag(cov))
    for name, value, e, reference, other in zip(names, m, errors, [*REFERENCE, None], CATALOGUE, strict=True):
        print(f"    {name:<13} {value:9.3f}  {e:9.3f} {'-' if reference is None else reference:>11} {other:11.3f}")
    print(f"    NonLinLoc's hypocentre is {np.linalg.norm(CATALOGUE[:3] - m[:3]):.2f} km away: "
          f"{apart(m, cov):.2f} standard errors (Mahalanobis distance)")
    print("    error ellipsoid (68 %), semi-axes:\n" + "\n".join(
        f"      {a:5.2f} km towards N{azimuth:03.0f}E, {plunge:2.0f}° down" for a, azimuth, plunge in axes_of(cov)))
    print(f"    depth and origin time correlate at {cov[2, 3] / np.sqrt(cov[2, 2] * cov[3, 3]):+.2f}")
    outliers = [i for i in np.argsort(-np.abs(r)) if abs(r[i]) > 5 * SCALE]
    named = ", ".join(f"{STATION[i]} ({abs(r[i]):.2f} s {'late' if r[i] < 0 else 'early'})" for i in outliers) or "none"
    print(f"    residuals: rms {np.sqrt(np.mean(r**2)):.3f} s, half of them below {np.median(np.abs(r)):.3f} s; "
          f"outliers: {named}")
    return [STATION[i] for i in outliers]


def apart(m, cov):
    """How far NonLinLoc's hypocentre is, in standard errors (Mahalanobis distance)."""
    d = CATALOGUE[:3] - m[:3]
    return float(np.sqrt(d @ np.linalg.solve(cov[:3, :3], d)))


def compare_with_differences(m, jacobian):
    """Time and error of the exact Jacobian and of forward differences; recordings per 100 calls."""
    def differences(m, step=1e-6):
        base = residuals(m)
        return np.stack([(residuals(m + d) - base) / step for d in step * np.eye(4)], axis=1)

    h = 1e-3                                           # the judge: central differences of order four
    judge = np.stack([8 * (residuals(m + d) - residuals(m - d)) - residuals(m + 2 * d) + residuals(m - 2 * d)
                      for d in h * np.eye(4)], axis=1) / (12 * h)
    before = jacobian.stats()
    for shift in np.random.default_rng(0).normal(size=(100, 4)):
        jacobian(m + np.array([1.0, 1.0, 2.0, 0.1]) * shift)       # about one standard error around
    stats = jacobian.stats()
    print("\n    Jacobian, 35 x 4         time      error")
    for name, f in (("exact (fastad)", jacobian), ("forward differences", differences)):
        elapsed = min(timeit.repeat(functools.partial(f, m), number=1, repeat=5 if QUICK else 50))
        print(f"    {name:<20} {1e3 * elapsed:6.3f} ms    {np.max(np.abs(f(m) - judge)):.1e}")
    print(f"    recordings in 100 calls at other hypocentres: {stats.recordings - before.recordings} (below 49 km "
          f"another branch is taken); {stats.audits - before.audits} audits found nothing")
    return float(np.max(np.abs(jacobian(m) - judge)))


# ---- the picture ----

def draw(path, m, r, cov):
    """Residuals on the map, reduced travel times against distance, the ellipsoid seen from the south."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (chart, times, section) = plt.subplots(1, 3, figsize=(12.0, 4.2), layout="constrained",
                                                       width_ratios=(1.25, 1.0, 0.8))
    points = chart.scatter(EAST, NORTH, c=-r, s=36, marker="^", cmap="RdBu_r", vmin=-1, vmax=1, edgecolors="k", lw=0.4)
    chart.plot(*m[:2], "k*", ms=11, label="epicentre")
    figure.colorbar(points, ax=chart, label="observed - predicted (s)", extend="both")
    chart.set(xlabel="km east", ylabel="km north", aspect="equal")

    distance = np.hypot(EAST - m[0], NORTH - m[1])
    times.plot(distance, ARRIVAL - m[3] - distance / 8.0, "k.", label="picks")
    times.plot(distance, ARRIVAL + r - m[3] - distance / 8.0, "o", mfc="none", color="tab:blue", ms=5,
               label="predicted (stations lie at different heights)")
    for i in np.flatnonzero(np.abs(r) > 5 * SCALE):
        for axes, x, y in ((chart, EAST[i], NORTH[i]), (times, distance[i], ARRIVAL[i] - m[3] - distance[i] / 8.0)):
            axes.annotate(STATION[i], (x, y), xytext=(6, -3), textcoords="offset points", fontsize=8)
    times.set(ylim=(2.3, 5.4), xlabel="epicentral distance (km)", ylabel="travel time - distance / (8 km/s)  (s)")

    around = np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 181)), np.sin(a)])
    for level, style in ((1.0, "-"), (2.0, "--")):
        ellipse = m[[0, 2], None] + level * np.linalg.cholesky(cov[np.ix_([0, 2], [0, 2])]) @ around
        section.plot(*ellipse, "tab:blue", ls=style, lw=1.2, label=f"{level:g} standard error{'s' * (level > 1)}")
    section.plot(m[0], m[2], "k*", ms=11, label="here")
    section.plot(CATALOGUE[0], CATALOGUE[2], "o", color="tab:orange", label="NonLinLoc")
    section.axhline(TOP[7], color="0.6", lw=0.8)
    section.text(0.02, TOP[7] - 0.1, "layer boundary", fontsize=8, color="0.4", transform=section.get_yaxis_transform())
    section.set(xlabel="km east", ylabel="depth (km)", ylim=(50.0, 37.5))
    for axes in (chart, times, section):
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Locate the Anchorage earthquake of 2018.")
    parser.add_argument("--output", help="where a picture goes (none without it)")
    output = parser.parse_args(arguments).output
    begin = time.perf_counter()

    print(f"{len(PICKS)} P arrivals of the Anchorage earthquake, soft_l1 loss beyond {SCALE} s")
    m = locate().x
    r, jacobian = residuals(m), ad.jacobian(residuals)
    cov = covariance(jacobian(m), r)
    outliers = report(m, r, cov)
    error = compare_with_differences(m, jacobian)
    if output:
        draw(output, m, r, cov)

    failed = [name for name, ok in {
        "the hypocentre (0.01 km)": np.max(np.abs(m[:3] - REFERENCE)) < 0.01,
        "NonLinLoc's hypocentre (2 standard errors)": apart(m, cov) < 2.0,
        "its origin time (2 standard errors)": abs(m[3] - CATALOGUE[3]) < 2.0 * np.sqrt(cov[3, 3]),
        "the outlier AK_CAPN": outliers == ["AK_CAPN"],
        "the exact Jacobian (1e-9)": error < 1e-9,
    }.items() if not ok]
    print(f"\nReference {'NOT reproduced: ' + ', '.join(failed) if failed else 'reproduced'}"
          f" ({time.perf_counter() - begin:.1f} s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
