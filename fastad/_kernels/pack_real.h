/* pack_real.h - the masked products of blocks, several elements at a time; included by reals.h once a type.
   Owns: that a masked factor raises no flag.
   Must not know: which factor is a tangent or an adjoint.
   Next: elementwise.h, which includes it and has the macros. */
typedef FA_REAL FA_R(fa_pack) __attribute__((vector_size(16), aligned(sizeof(FA_REAL)), may_alias));
typedef FA_R(fa_bits) FA_R(fa_pack_mask) __attribute__((vector_size(16)));

FA_INLINE FA_R(fa_pack) FA_R(fa_masked_product)(FA_R(fa_pack) w, FA_R(fa_pack) p, FA_R(fa_pack_mask) mask) {
    return (FA_R(fa_pack))((FA_R(fa_pack_mask))w & mask) * (FA_R(fa_pack))((FA_R(fa_pack_mask))p & mask);
}
FA_INLINE FA_R(fa_pack) FA_R(fa_strongzero_pack)(FA_R(fa_pack) w, FA_R(fa_pack) p) {
    return FA_R(fa_masked_product)(w, p, w != 0);
}
FA_INLINE FA_R(fa_pack) FA_R(fa_zeroproduct_pack)(FA_R(fa_pack) w, FA_R(fa_pack) p) {
    return FA_R(fa_masked_product)(w, p, (w != 0) & (p != 0));
}

FA_INLINE FA_R(fa_pack) FA_R(fa_pack_of)(FA_REAL x) {
    FA_R(fa_pack) y;
    for (int l = 0; l < FA_LANES; l++) y[l] = x;
    return y;
}

/* y = or += the product of two spans, the tangent or adjoint first */
FA_FN void FA_R(fa_strongzero_block)(int64_t n, fa_span w, fa_span p, FA_REAL *restrict y) {
    FA_PRODUCT_BLOCK(FA_R(fa_strongzero), FA_R(fa_strongzero_pack), =);
}
FA_FN void FA_R(fa_zeroproduct_block)(int64_t n, fa_span w, fa_span p, FA_REAL *restrict y) {
    FA_PRODUCT_BLOCK(FA_R(fa_zeroproduct), FA_R(fa_zeroproduct_pack), =);
}
FA_FN void FA_R(fa_strongzero_add)(int64_t n, fa_span w, fa_span p, FA_REAL *restrict y) {
    FA_PRODUCT_BLOCK(FA_R(fa_strongzero), FA_R(fa_strongzero_pack), +=);
}
FA_FN void FA_R(fa_zeroproduct_add)(int64_t n, fa_span w, fa_span p, FA_REAL *restrict y) {
    FA_PRODUCT_BLOCK(FA_R(fa_zeroproduct), FA_R(fa_zeroproduct_pack), +=);
}
