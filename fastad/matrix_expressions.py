"""matrix_expressions.py - algebra of matrices written into a derivative tape: rules read like their formulas.

Owns: `Matrix`, a value of a tape seen as a batch of matrices: products, transposes (which move nothing), triangles,
diagonals, blocks, and the routines of dense linear algebra.
Must not know: any rule.
Next: linear_rules.py (the rules), _transform.pyx (the builder `b` that they write with), _factor.pxi (the routines).
"""
from __future__ import annotations

from typing import Any

from fastad import _tape as T

F64 = 0
EPS = 2.0**-52


class Matrix:
    """A batch of matrices (rows, columns), one after the other; `t`: each lies transposed in memory.

    A batch of 1 goes with any other batch.  A vector is a matrix of one row.
    """

    __slots__ = ("b", "batch", "columns", "id", "rows", "t")

    def __init__(self, b: Any, value: int, batch: int, rows: int, columns: int, t: bool = False) -> None:
        self.b, self.batch, self.rows, self.columns, self.t = b, batch, rows, columns, t
        memory = (batch, columns, rows) if t else (batch, rows, columns)
        self.id = b.fit(value, T.aval(b.dtype(value), memory))

    @property
    def size(self) -> int:
        """Elements of one matrix."""
        return self.rows * self.columns

    @property
    def T(self) -> Matrix:
        """The transposed matrices."""
        return Matrix(self.b, self.id, self.batch, self.columns, self.rows, not self.t)

    def moved(self, rows: int, columns: int, offset: int, strides: tuple[int, int]) -> Matrix:
        """A view of each matrix as it lies in memory."""
        view = T.Map.view(self.batch * self.size, (self.batch, rows, columns), offset, (self.size, *strides))
        y = self.b.emit("move", (self.id,), T.aval(F64, (self.batch, rows, columns)), view)
        return Matrix(self.b, y, self.batch, rows, columns)

    def lying(self, t: bool = False) -> Matrix:
        """The same matrices, straight in memory or transposed."""
        if self.t == t:
            return self
        if 1 in (self.rows, self.columns):
            return Matrix(self.b, self.id, self.batch, self.rows, self.columns, t)
        if t:
            return self.T.lying().T
        return self.moved(self.rows, self.columns, 0, (1, self.rows))

    def wide(self, batch: int) -> Matrix:
        """Repeated for each matrix of a batch."""
        if self.batch == batch:
            return self
        view = T.Map.view(self.size, (batch, self.size), 0, (0, 1))
        y = self.b.emit("move", (self.id,), T.aval(F64, (batch, self.size)), view)
        return Matrix(self.b, y, batch, self.rows, self.columns, self.t)

    def summed(self, batch: int) -> Matrix:
        """What the adjoint of an operand with this batch gets."""
        if self.batch == batch:
            return self
        y = self.b.emit("sum", (self.id,), T.aval(F64, (self.size,)), T.Axis(1, self.batch, self.size))
        return Matrix(self.b, y, 1, self.rows, self.columns, self.t)

    # -- algebra

    def __matmul__(self, other: Matrix) -> Matrix:
        batch = max(self.batch, other.batch)
        steps = [0 if x.batch == 1 else x.size for x in (self, other)]
        attr = T.Matmul(batch, self.rows, self.columns, other.columns, steps[0], steps[1], self.t, other.t)
        y = self.b.emit("matmul", (self.id, other.id), T.aval(F64, (batch, self.rows, other.columns)), attr)
        return Matrix(self.b, y, batch, self.rows, other.columns)

    def with_other(self, name: str, other: Any) -> Matrix:
        """An elementwise primitive of two matrices, or of one and a number."""
        if not isinstance(other, Matrix):
            y = self.b.elementwise_(name, self.id, self.b.const(float(other)))
            return Matrix(self.b, y, self.batch, self.rows, self.columns, self.t)
        batch = max(self.batch, other.batch)
        x, z = self.wide(batch), other.lying(self.t).wide(batch)
        return Matrix(self.b, self.b.elementwise_(name, x.id, z.id), batch, self.rows, self.columns, self.t)

    def __add__(self, other: Any) -> Matrix:
        return self.with_other("add", other)

    def __sub__(self, other: Any) -> Matrix:
        return self.with_other("subtract", other)

    def __mul__(self, other: Any) -> Matrix:
        return self.with_other("multiply", other)

    def __neg__(self) -> Matrix:
        return Matrix(self.b, self.b.elementwise_("negative", self.id), self.batch, self.rows, self.columns, self.t)

    def reciprocal(self, scale: Matrix) -> Matrix:
        """1/x, and 0 where x is 0 to rounding beside the numbers `scale`: what does not exist counts as 0."""
        b = self.b
        sizes = Matrix(b, b.elementwise_("absolute", scale.id), scale.batch, 1, scale.size)
        rounding = (sizes.total() * EPS).spread(self.rows, self.columns).wide(self.batch)
        none = b.elementwise_("less_equal", b.elementwise_("absolute", self.id), rounding.id)
        y = b.elementwise_("reciprocal", b.elementwise_("where", none, b.const(1.0), self.id))
        y = b.elementwise_("where", none, b.const(0.0), y)
        return Matrix(b, y, self.batch, self.rows, self.columns, self.t)

    # -- parts

    def part(self, offset: int, rows: int, columns: int) -> Matrix:
        """A matrix that is a part of the vector of several results."""
        return self.moved(rows, columns, offset, (columns, 1))

    def block(self, rows: int, columns: int) -> Matrix:
        """The upper left block."""
        if (rows, columns) == (self.rows, self.columns):
            return self
        if self.t:
            return self.T.block(columns, rows).T
        return self.moved(rows, columns, 0, (self.columns, 1))

    def placed(self, rows: int, columns: int, row: int = 0, column: int = 0) -> Matrix:
        """Zeros with the matrix as a block whose upper left corner is (row, column)."""
        x = self.lying()
        return x.scattered((self.rows, self.columns), (self.columns, 1), rows, columns, row * columns + column,
                           (columns, 1))

    def diagonal(self) -> Matrix:
        """The diagonal as a vector."""
        return self.moved(1, min(self.rows, self.columns), 0,
                          (0, (self.rows if self.t else self.columns) + 1))

    def scattered(self, shape: tuple[int, ...], strides: tuple[int, ...], rows: int, columns: int, offset: int,
                  places: tuple[int, ...]) -> Matrix:
        """Zeros with elements of this matrix written into them."""
        size = rows * columns
        piece = ((self.batch, *shape), 0, (self.size, *strides), offset, (size, *places))
        covers = self.size == size
        attr = T.Map(self.batch * self.size, self.batch * size, (piece,), None, None, covers, True, True)
        y = self.b.emit("move", (self.id,), T.aval(F64, (self.batch, rows, columns)), attr)
        return Matrix(self.b, y, self.batch, rows, columns)

    def down(self, rows: int) -> Matrix:
        """This vector as each of so many rows."""
        return self.moved(rows, self.columns, 0, (0, 1))

    def across(self, columns: int) -> Matrix:
        """This vector as each of so many columns."""
        return self.moved(self.columns, columns, 0, (1, 0))

    def total(self) -> Matrix:
        """The sum of all elements of each matrix."""
        y = self.b.emit("sum", (self.id,), T.aval(F64, (self.batch,)), T.Axis(self.batch, self.size, 1))
        return Matrix(self.b, y, self.batch, 1, 1)

    def spread(self, rows: int, columns: int) -> Matrix:
        """One number as each element."""
        return self.moved(rows, columns, 0, (0, 0))

    # -- triangles

    def tri(self, upper: bool = False, diagonal: str = "") -> Matrix:
        """The lower or upper triangle; the diagonal as it is, or "half", "double", "none" of it."""
        if self.t:
            return self.T.tri(not upper, diagonal).T
        form = T.LAPACK_FORMS["upper"] * upper + T.LAPACK_FORMS.get(diagonal, 0)
        return lapack("tri", (self,), self.rows, self.columns, 0, form).shaped(self.rows, self.columns)

    def mirror(self, upper: bool = False) -> Matrix:
        """The symmetric matrix with this lower (or upper) triangle."""
        form = T.LAPACK_FORMS["upper"] * (upper != self.t)
        x = self.T if self.t else self
        return lapack("mirror", (x,), 0, self.rows, 0, form).shaped(self.rows, self.rows)

    def fold(self, upper: bool = False) -> Matrix:
        """The adjoint of `mirror`: one triangle, with the other added to it."""
        x = self.T if self.t else self
        return lapack("fold", (x,), 0, self.rows, 0, T.LAPACK_FORMS["upper"] * upper).shaped(self.rows, self.rows)

    def shaped(self, rows: int, columns: int) -> Matrix:
        """The same elements as matrices of another shape."""
        return Matrix(self.b, self.id, self.batch, rows, columns)


def joined(*parts: Matrix) -> Matrix:
    """Several results as one vector for each matrix of the batch."""
    b, batch = parts[0].b, max(x.batch for x in parts)
    parts = tuple(x.lying().wide(batch) for x in parts)
    total, at, maps = sum(x.size for x in parts), 0, []
    for x in parts:
        piece = ((batch, x.size), 0, (x.size, 1), at, (total, 1))
        maps.append(T.Map(batch * x.size, batch * total, (piece,), None, None, total == x.size, True, True))
        at += x.size
    y = b.emit("assemble", [x.id for x in parts], T.aval(F64, (batch, total)), T.Assemble(maps, covers=True))
    return Matrix(b, y, batch, 1, total)


def identity(b: Any, n: int) -> Matrix:
    """The unit matrix, made where it is needed."""
    attr = T.Map(1, n * n, (((n,), 0, (0,), 0, (n + 1,)),), None, None, n == 1, n == 1, True)
    return Matrix(b, b.emit("move", (b.const(1.0),), T.aval(F64, (1, n, n)), attr), 1, n, n)


def lapack(name: str, operands: tuple[Matrix, ...], m: int, n: int, k: int, form: int = 0) -> Matrix:
    """A routine of dense linear algebra; its result is one vector for each matrix of the batch."""
    b, batch = operands[0].b, max(x.batch for x in operands)
    shared = sum(1 << j for j, x in enumerate(operands) if x.batch == 1 < batch)
    attr = T.Lapack(name, batch, m, n, k, form, shared)
    y = b.emit("lapack", [x.lying().id for x in operands], T.aval(F64, attr.result()), attr)
    return Matrix(b, y, batch, 1, attr.result()[1])
