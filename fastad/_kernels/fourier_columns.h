/* fourier_columns.h - short Fourier transforms of 8 columns at once; included once for each instruction set, so without
   a guard.
   Owns: the butterflies of 2, 3, 4, 5, 7, 8, 9 and 11 points, and the passes, each from one piece of memory to another
   in the order that leaves nothing to sort (T. G. Stockham 1966).
   Must not know: where the columns come from (fourier_stages.h).
   FA_FT(name): the name with the set's suffix; FA_FT_WIDTH: doubles of a vector.
   A row is 8 real and 8 imaginary parts. */
typedef double FA_FT(fa_vec) __attribute__((vector_size(FA_FT_WIDTH * 8)));
typedef double FA_FT(fa_loose) __attribute__((vector_size(FA_FT_WIDTH * 8), aligned(8), may_alias));
#define FA_V FA_FT(fa_vec)
#define FA_LOAD(p) (*(const FA_FT(fa_loose) *)(p))
#define FA_STORE(p, v) (*(FA_FT(fa_loose) *)(p) = (v))

/* ---- butterflies: sums over t of x[t] exp(-2 pi i t q / r), in place --------------------------------------------- */
FA_FT_INLINE void FA_FT(fa_two)(FA_V *a, FA_V *b) {
    FA_V sum = *a + *b;
    *b = *a - *b;
    *a = sum;
}

FA_FT_INLINE void FA_FT(fa_four)(FA_V *re, FA_V *im) {
    FA_V ar = re[0] + re[2], ai = im[0] + im[2], br = re[0] - re[2], bi = im[0] - im[2];
    FA_V cr = re[1] + re[3], ci = im[1] + im[3], dr = re[1] - re[3], di = im[1] - im[3];
    re[0] = ar + cr; im[0] = ai + ci;
    re[1] = br + di; im[1] = bi - dr;
    re[2] = ar - cr; im[2] = ai - ci;
    re[3] = br - di; im[3] = bi + dr;
}

FA_FT_INLINE void FA_FT(fa_eight)(FA_V *re, FA_V *im) {
    const double h = 0x1.6a09e667f3bcdp-1;           /* sqrt(1/2) */
    FA_V r, i;
    for (int k = 0; k < 4; k++) {
        FA_FT(fa_two)(&re[k], &re[k + 4]);
        FA_FT(fa_two)(&im[k], &im[k + 4]);
    }
    r = re[5]; i = im[5];
    re[5] = h * (r + i); im[5] = h * (i - r);        /* times exp(-i pi/4), -i, exp(-3 i pi/4) */
    r = re[6]; i = im[6];
    re[6] = i; im[6] = -r;
    r = re[7]; i = im[7];
    re[7] = h * (i - r); im[7] = -h * (r + i);
    FA_FT(fa_four)(re, im);
    FA_FT(fa_four)(re + 4, im + 4);
    /* now 0 2 4 6 1 3 5 7 */
    FA_V er[4] = {re[0], re[1], re[2], re[3]}, ei[4] = {im[0], im[1], im[2], im[3]};
    FA_V or[4] = {re[4], re[5], re[6], re[7]}, oi[4] = {im[4], im[5], im[6], im[7]};
    for (int k = 0; k < 4; k++) {
        re[2 * k] = er[k]; im[2 * k] = ei[k];
        re[2 * k + 1] = or[k]; im[2 * k + 1] = oi[k];
    }
}

/* 3, 5, 7 and 11 points: t and r - t together.  c, s: cos and sin of 2 pi k / r for k <= r/2. */
FA_FT_INLINE void FA_FT(fa_odd)(const int r, const double *c, const double *s, FA_V *re, FA_V *im) {
    FA_V sr[5], si[5], dr[5], di[5], r0 = re[0], i0 = im[0];
    const int h = r / 2;
    for (int k = 0; k < h; k++) {
        sr[k] = re[k + 1] + re[r - 1 - k]; si[k] = im[k + 1] + im[r - 1 - k];
        dr[k] = re[k + 1] - re[r - 1 - k]; di[k] = im[k + 1] - im[r - 1 - k];
        re[0] += sr[k]; im[0] += si[k];
    }
    for (int q = 1; q <= h; q++) {
        FA_V ar = r0, ai = i0, br = r0, bi = i0;        /* (b begins below) */
        for (int k = 0; k < h; k++) {
            const int at = (k + 1) * q % r, low = at <= h ? at : r - at;
            const double sine = at <= h ? s[low - 1] : -s[low - 1];
            ar += c[low - 1] * sr[k]; ai += c[low - 1] * si[k];
            br = k ? br + sine * dr[k] : sine * dr[k];
            bi = k ? bi + sine * di[k] : sine * di[k];
        }
        re[q] = ar + bi; im[q] = ai - br;
        re[r - q] = ar - bi; im[r - q] = ai + br;
    }
}

FA_FT_INLINE void FA_FT(fa_three)(FA_V *re, FA_V *im) {
    static const double c[] = {-0.5}, s[] = {0x1.bb67ae8584caap-1};
    FA_FT(fa_odd)(3, c, s, re, im);
}

/* times w = cos - i sin */
FA_FT_INLINE void FA_FT(fa_turn)(FA_V *re, FA_V *im, double c, double s) {
    FA_V r = *re, i = *im;
    *re = c * r + s * i;
    *im = c * i - s * r;
}

FA_FT_INLINE void FA_FT(fa_nine)(FA_V *re, FA_V *im) {
    const double c1 = 0x1.8836fa2cf5039p-1, s1 = 0x1.491b7523c161dp-1;       /* of 2 pi/9 */
    const double c2 = 0x1.63a1a7e0b738ap-3, s2 = 0x1.f838b8c811c17p-1;       /* of 4 pi/9 */
    const double c4 = -0x1.e11f642522d1cp-1, s4 = 0x1.5e3a8748a0bf5p-2;      /* of 8 pi/9 */
    FA_V r[3][3], i[3][3];
    for (int a = 0; a < 3; a++) {
        for (int t = 0; t < 3; t++) { r[a][t] = re[a + 3 * t]; i[a][t] = im[a + 3 * t]; }
        FA_FT(fa_three)(r[a], i[a]);
    }
    FA_FT(fa_turn)(&r[1][1], &i[1][1], c1, s1);
    FA_FT(fa_turn)(&r[1][2], &i[1][2], c2, s2);
    FA_FT(fa_turn)(&r[2][1], &i[2][1], c2, s2);
    FA_FT(fa_turn)(&r[2][2], &i[2][2], c4, s4);
    for (int q = 0; q < 3; q++) {
        FA_V br[3] = {r[0][q], r[1][q], r[2][q]}, bi[3] = {i[0][q], i[1][q], i[2][q]};
        FA_FT(fa_three)(br, bi);
        for (int a = 0; a < 3; a++) { re[q + 3 * a] = br[a]; im[q + 3 * a] = bi[a]; }
    }
}

FA_FT_INLINE void FA_FT(fa_butterfly)(const int r, FA_V *re, FA_V *im) {
    static const double c5[] = {0x1.3c6ef372fe950p-2, -0x1.9e3779b97f4a8p-1};
    static const double s5[] = {0x1.e6f0e134454ffp-1, 0x1.2cf2304755a5ep-1};
    static const double c7[] = {0x1.3f3a0e28bedd1p-1, -0x1.c7b90e3024582p-3, -0x1.cd4bca9cb5c71p-1};
    static const double s7[] = {0x1.904c37505de4bp-1, 0x1.f329c0558e969p-1, 0x1.bc4c04d71abc1p-2};
    static const double c11[] = {0x1.aeb8c8764f0bap-1, 0x1.a9628d9c712b6p-2, -0x1.2375f640f44dbp-3,
                                 -0x1.4f49e7f775887p-1, -0x1.eb42a9bcd5057p-1};
    static const double s11[] = {0x1.14cedf8bb580bp-1, 0x1.d1bb48eee2c13p-1, 0x1.fac9e043842efp-1,
                                 0x1.82f19bb3a28a1p-1, 0x1.207e7fd768dbfp-2};
    switch (r) {
    case 2: FA_FT(fa_two)(&re[0], &re[1]); FA_FT(fa_two)(&im[0], &im[1]); break;
    case 3: FA_FT(fa_three)(re, im); break;
    case 4: FA_FT(fa_four)(re, im); break;
    case 5: FA_FT(fa_odd)(5, c5, s5, re, im); break;
    case 7: FA_FT(fa_odd)(7, c7, s7, re, im); break;
    case 8: FA_FT(fa_eight)(re, im); break;
    case 9: FA_FT(fa_nine)(re, im); break;
    default: FA_FT(fa_odd)(11, c11, s11, re, im); break;
    }
}

/* ---- passes ---------------------------------------------------------------------------------------------------- */
/* Rows i of x stand at x + i * step.  Before a pass of radix r row Q + S (p + m t) holds point p + m t of S interleaved
   transforms of L = r m points; after it row (Q + S q) + S r p holds point p of S r transforms of m points. */
FA_FT_INLINE void FA_FT(fa_pass)(const int r, const double *restrict x, int64_t step, double *restrict y, int64_t S,
                                 int64_t m, const double *w) {
    for (int64_t p = 0; p < m; p++, w += 2 * (r - 1))
        for (int64_t Q = 0; Q < S; Q++)
            for (int c = 0; c < FA_FT_LANES; c += FA_FT_WIDTH) {
                FA_V re[11], im[11];
                const double *from = x + (Q + S * p) * step + c;
                double *to = y + (Q + S * r * p) * FA_FT_ROW + c;
                for (int t = 0; t < r; t++) {
                    re[t] = FA_LOAD(from + S * m * t * step);
                    im[t] = FA_LOAD(from + S * m * t * step + 8);
                }
                FA_FT(fa_butterfly)(r, re, im);
                FA_STORE(to, re[0]);
                FA_STORE(to + 8, im[0]);
                for (int q = 1; q < r; q++) {
                    if (m > 1) FA_FT(fa_turn)(&re[q], &im[q], w[2 * (q - 1)], -w[2 * (q - 1) + 1]);
                    FA_STORE(to + S * q * FA_FT_ROW, re[q]);
                    FA_STORE(to + S * q * FA_FT_ROW + 8, im[q]);
                }
            }
}

/* Where only the points p < known of the first m are not zero, each result is one of them, turned. */
static __attribute__((noinline)) void FA_FT(fa_spread)(int r, const double *restrict x, int64_t step,
                                                       double *restrict y, int64_t S, int64_t known, const double *w) {
    for (int64_t p = 0; p < known; p++, w += 2 * (r - 1))
        for (int64_t Q = 0; Q < S; Q++)
            for (int c = 0; c < FA_FT_LANES; c += FA_FT_WIDTH) {
                const double *from = x + (Q + S * p) * step + c;
                double *to = y + (Q + S * r * p) * FA_FT_ROW + c;
                FA_V re = FA_LOAD(from), im = FA_LOAD(from + 8);
                FA_STORE(to, re);
                FA_STORE(to + 8, im);
                for (int q = 1; q < r; q++) {
                    FA_V tr = re, ti = im;
                    FA_FT(fa_turn)(&tr, &ti, w[2 * (q - 1)], -w[2 * (q - 1) + 1]);
                    FA_STORE(to + S * q * FA_FT_ROW, tr);
                    FA_STORE(to + S * q * FA_FT_ROW + 8, ti);
                }
            }
}

/* Where only results below `wanted` <= S are, each of them is a sum. */
static __attribute__((noinline)) void FA_FT(fa_gather)(int r, const double *restrict x, int64_t step,
                                                       double *restrict y, int64_t S, int64_t m, int64_t wanted) {
    for (int64_t p = 0; p < m; p++)
        for (int64_t Q = 0; Q < wanted; Q++)
            for (int c = 0; c < FA_FT_ROW; c += FA_FT_WIDTH) {
                const double *from = x + (Q + S * p) * step + c;
                FA_V sum = FA_LOAD(from);
                for (int t = 1; t < r; t++) sum += FA_LOAD(from + S * m * t * step);
                FA_STORE(y + (Q + S * r * p) * FA_FT_ROW + c, sum);
            }
}

/* One function for each radix: what is unrolled stays readable for the compiler. */
#define FA_PASS(R) \
    static __attribute__((noinline)) void FA_FT(fa_pass_##R)(const double *x, int64_t step, double *y, int64_t S, \
                                                             int64_t m, const double *w) { \
        if (m == 1) FA_FT(fa_pass)(R, x, step, y, S, 1, w); \
        else FA_FT(fa_pass)(R, x, step, y, S, m, w); \
    }
FA_PASS(2) FA_PASS(3) FA_PASS(4) FA_PASS(5) FA_PASS(7) FA_PASS(8) FA_PASS(9) FA_PASS(11)
#undef FA_PASS

static void FA_FT(fa_do_pass)(int r, const double *x, int64_t step, double *y, int64_t S, int64_t m, const double *w) {
    switch (r) {
    case 2: FA_FT(fa_pass_2)(x, step, y, S, m, w); break;
    case 3: FA_FT(fa_pass_3)(x, step, y, S, m, w); break;
    case 4: FA_FT(fa_pass_4)(x, step, y, S, m, w); break;
    case 5: FA_FT(fa_pass_5)(x, step, y, S, m, w); break;
    case 7: FA_FT(fa_pass_7)(x, step, y, S, m, w); break;
    case 8: FA_FT(fa_pass_8)(x, step, y, S, m, w); break;
    case 9: FA_FT(fa_pass_9)(x, step, y, S, m, w); break;
    default: FA_FT(fa_pass_11)(x, step, y, S, m, w); break;
    }
}

/* 8 columns of f->n rows, of which the first `known` are given and the others zero (those have room in x, which is a
   then); rows below `wanted` of the result are valid.  a, b: two pieces of n rows; the result stands in one of them,
   or, where there is nothing to do, in x. */
static const double *FA_FT(fa_short)(const fa_fourier_length *f, const double *x, int64_t step, double *a, double *b,
                                     int64_t known, int64_t wanted) {
    int64_t S = 1, L = f->n;
    for (int k = 0; k < f->npass; k++) {
        int r = f->radix[k];
        int64_t m = L / r;
        double *to = x == a ? b : a;
        if (known <= m) FA_FT(fa_spread)(r, x, step, to, S, known, f->root[k]);
        else {
            if (known < L) memset((double *)x + S * known * step, 0, (size_t)(S * (L - known) * step) * 8);
            if (wanted <= S) FA_FT(fa_gather)(r, x, step, to, S, m, wanted);
            else FA_FT(fa_do_pass)(r, x, step, to, S, m, f->root[k]);
            known = m;
        }
        x = to;
        step = FA_FT_ROW;
        S *= r;
        L = m;
    }
    return x;
}
