/* product_real.h - products of real matrices; included by reals.h once a type.
   Owns: the choice between BLAS and our loops, which depends on the sizes alone; the CSR loops.
   Must not know: opcodes, which product is an adjoint.
   Next: products.h, which includes it. */
typedef void (*FA_R(fa_blas))(int ta, int tb, int64_t m, int64_t n, int64_t k, const FA_REAL *a, const FA_REAL *b,
                              FA_REAL *c, FA_REAL beta);

/* c = op(a) op(b) + beta c, beta 0 or 1, without BLAS.  Strides: rs along rows, cs along columns. */
FA_FN void FA_R(fa_gemm_loops)(int ta, int tb, int64_t m, int64_t n, int64_t k, const FA_REAL *a, const FA_REAL *b,
                               FA_REAL *c, FA_REAL beta) {
    const FA_R(fa_rowset) *set = FA_R(fa_rows_by)();
    int64_t ars = ta ? 1 : k, acs = ta ? m : 1, bcs = tb ? k : 1;
    if (k == 1) {                                                /* both are contiguous */
        set->outer(a, m, b, n, beta != 0, c);
        return;
    }
    if (beta == 0) memset(c, 0, (size_t)(m * n) * sizeof *c);
    if (n == 1 && (!ta || m == 1)) set->add_dots(a, m, k, b, c);
    else if (n == 1) set->add_rows(a, k, m, b, 1, c);            /* a is stored (k, m) */
    else if (acs == 1 && tb) for (int64_t i = 0; i < m; i++) set->add_dots(b, n, k, a + i * k, c + i * n);
    else if (!tb) for (int64_t i = 0; i < m; i++) set->add_rows(b, k, n, a + i * ars, acs, c + i * n);
    else
        for (int64_t i = 0; i < m; i++)
            for (int64_t l = 0; l < k; l++) {
                FA_REAL s = a[i * ars + l * acs];
                for (int64_t j = 0; j < n; j++) c[i * n + j] += s * b[l + j * bcs];
            }
}

FA_FN void FA_R(fa_gemm)(FA_R(fa_blas) blas, int ta, int tb, int64_t m, int64_t n, int64_t k, const FA_REAL *a,
                         const FA_REAL *b, FA_REAL *c, FA_REAL beta) {
    if (m == 0 || n == 0) return;
    /* a vector in the product: our loops (product_rows.h) are as fast, and BLAS would add its call */
    if (!blas || k == 0 || m == 1 || n == 1 || k == 1 || (m <= FA_SMALL_GEMM && n <= FA_SMALL_GEMM
        && k <= FA_SMALL_GEMM && m * n * k <= FA_SMALL_GEMM))
        FA_R(fa_gemm_loops)(ta, tb, m, n, k, a, b, c, beta);
    else blas(ta, tb, m, n, k, a, b, c, beta);
}

/* A product in an adjoint.  Weights that fall off like exp(-x*x) leave subnormal adjoints, on which BLAS is ten times
   slower; they count as zeros, which changes c by less than the smallest normal number times k and the other operand.
   That is nothing beside a c that is far from underflow; one that is not is computed again, with them. */
FA_FN void FA_R(fa_gemm_adjoint)(FA_R(fa_blas) blas, int ta, int tb, int64_t m, int64_t n, int64_t k, const FA_REAL *a,
                                 const FA_REAL *b, FA_REAL *c) {
    const FA_REAL far = sizeof(FA_REAL) == 8 ? (FA_REAL)0x1p-500 : (FA_REAL)0x1p-60;
    unsigned mode = fa_drop_subnormals();
    FA_R(fa_gemm)(blas, ta, tb, m, n, k, a, b, c, 0);
    fa_keep_subnormals(mode);
    for (int64_t i = 0; i < m * n; i++)
        if (!(c[i] < far && c[i] > -far)) return;
    FA_R(fa_gemm)(blas, ta, tb, m, n, k, a, b, c, 0);
}

/* the batch of products of an instruction; beta 1 adds to y */
FA_FN void FA_R(fa_matmul)(const fa_matmul *p, FA_R(fa_blas) blas, const FA_REAL *a, const FA_REAL *b, FA_REAL *y,
                           FA_REAL beta) {
    for (int64_t i = 0; i < p->batch; i++, a += p->abatch, b += p->bbatch, y += p->m * p->n)
        if (p->adjoint && beta == 0) FA_R(fa_gemm_adjoint)(blas, p->ta, p->tb, p->m, p->n, p->k, a, b, y);
        else FA_R(fa_gemm)(blas, p->ta, p->tb, p->m, p->n, p->k, a, b, y, beta);
}

/* ---- sparse ------------------------------------------------------------------------------------------------- */
/* y += A x, or y += A^T x if transpose */
FA_FN void FA_R(fa_spmm_add)(const fa_csr *A, int transpose, const FA_REAL *data, const FA_REAL *x, FA_REAL *y) {
    int64_t m = A->ncols;
    for (int64_t r = 0; r < A->nrow; r++)
        if (m == 1 && !transpose) {
            FA_REAL sum = 0;
            for (int64_t e = A->indptr[r]; e < A->indptr[r + 1]; e++) sum += data[e] * x[A->indices[e]];
            y[r] += sum;
        } else {
            for (int64_t e = A->indptr[r]; e < A->indptr[r + 1]; e++) {
                int64_t c = A->indices[e];
                const FA_REAL *xs = x + (transpose ? r : c) * m;
                FA_REAL *ys = y + (transpose ? c : r) * m, s = data[e];
                for (int64_t j = 0; j < m; j++) ys[j] += s * xs[j];
            }
        }
}

FA_INLINE void FA_R(fa_spmm)(const fa_csr *A, const FA_REAL *data, const FA_REAL *x, FA_REAL *y) {
    memset(y, 0, (size_t)((A->transpose ? A->ncol : A->nrow) * A->ncols) * sizeof *y);
    FA_R(fa_spmm_add)(A, A->transpose, data, x, y);
}
