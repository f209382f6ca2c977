"""intercepted.py - which of NumPy's names are replaced while a function is recorded.

Owns: the lists, by what the replacement has to do; and why functions are refused that NumPy
does not dispatch, or that are compiled code.
Must not know: the replacements (interception.py).
"""

# Results are new memory: recordable arrays in which nothing is traced yet.
CREATING = ("zeros", "empty", "ones", "eye", "identity", "linspace", "logspace", "indices", "tri")
CREATING_LIKE = ("zeros_like", "empty_like", "ones_like")
# The same, or a view of an argument, which stays the user's own memory.
DERIVING = ("copy", "diag", "diagflat", "meshgrid", "tile", "repeat", "concatenate", "stack", "hstack",
            "vstack", "dstack", "column_stack", "append", "pad", "atleast_1d", "atleast_2d", "atleast_3d",
            "broadcast_arrays", "vander", "sum", "prod", "mean", "std", "var", "max", "min", "amax",
            "amin", "dot", "inner", "outer", "cumsum", "diff", "median", "average", "trapezoid", "interp",
            "argmax", "argmin", "sort", "argsort", "roll", "reshape", "ravel", "squeeze", "transpose",
            "block", "polyval", "cross", "vdot", "cumprod", "where", "shape", "ndim", "size", "any",
            "all", "clip", "ptp", "einsum", "convolve", "kron", "tensordot", "gradient", "insert",
            "delete", "flip", "take", "round", "nansum", "nanmean", "searchsorted", "percentile",
            "quantile", "cov", "unwrap", "broadcast_to", "count_nonzero", "isclose", "allclose",
            "array_equal", "argwhere", "around", "array_equiv", "array_split", "bincount", "compress",
            "concat", "copyto", "corrcoef", "correlate", "diagonal", "digitize", "dsplit", "ediff1d",
            "expand_dims", "extract", "fill_diagonal", "fix", "flatnonzero", "fliplr", "flipud",
            "geomspace", "histogram", "hsplit", "i0", "imag", "isin", "isneginf", "isposinf", "lexsort",
            "matrix_transpose", "moveaxis", "nan_to_num", "nanargmax", "nanargmin", "nancumprod",
            "nancumsum", "nanmax", "nanmin", "nanprod", "nanstd", "nanvar", "nonzero", "permute_dims",
            "place", "polyadd", "polyder", "polyint", "polysub", "put", "put_along_axis", "putmask",
            "real", "real_if_close", "resize", "rollaxis", "rot90", "sinc", "split", "swapaxes",
            "take_along_axis", "trace", "tril", "triu", "unique", "vsplit", "unique_all", "unique_counts",
            "unique_inverse", "unique_values", "union1d", "intersect1d", "setdiff1d", "setxor1d",
            "trim_zeros", "histogram2d", "histogram_bin_edges", "partition",
            "argpartition", "nanmedian", "nanpercentile", "nanquantile", "polymul", "polydiv", "poly",
            "apply_along_axis", "apply_over_axes", "astype")
CONVERTING = ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "asarray_chkfinite", "require")

# Functions that NumPy does not dispatch, and why they are refused for traced arguments.
REFUSING = {
    "nditer": "it hands out NumPy's own memory; loop over x.flat, np.ndenumerate(x) or np.ndindex(x.shape)",
    "nested_iters": "it hands out NumPy's own memory; loop over np.ndindex(x.shape)",
    "asmatrix": "matrices of class np.matrix are not recorded; use arrays and @",
    "bmat": "matrices of class np.matrix are not recorded; use np.block",
    "from_dlpack": "other libraries cannot see traced values; wrap their code with ad.primitive",
    "kaiser": "write it out: np.i0(beta * np.sqrt(1 - t**2)) / np.i0(beta) for t from -1 to 1",
}

# What of compiled code, of which there are no frames, a line of the user's seems to call, and what to write instead.
IN_COMPILED_CODE = {
    r"\bfloat(64|_)\(": "np.float64(x) is a type, which cannot be seen: for `np.float64(x)` write `x * 1.0`",
    r"\.(normal|uniform|exponential|lognormal|laplace|gumbel|logistic|rayleigh|multivariate_normal)\(":
        "a generator of random numbers takes plain parameters: scale standard ones, `loc + scale * "
        "rng.standard_normal(n)`, `low + (high - low) * rng.random(n)`, `mean + np.linalg.cholesky(cov) @ "
        "rng.standard_normal(n)`",
    r"\bma\.": "masked arrays of np.ma are not recorded: write np.where(mask, 0.0, x), or x[~mask]",
    r"\.query(_ball_point|_pairs)?\(":
        "trees of scipy.spatial give plain numbers: find the neighbours of ad.peek(x), and compute their distances in "
        "NumPy",
}
