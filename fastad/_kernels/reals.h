/* reals.h - includes the file FA_BODY twice: for float64 and for float32.  Included many times, so without a guard.
   Owns: the names by which such a file speaks of its type: FA_REAL the C type, FA_DTYPE its code, FA_CELL its member of
   fa_cell, FA_PARTIAL the templates of fa_prim, FA_GEMM the matrix product of fa_env, FA_LANES how many fill 16 bytes;
   FA_R(name) is name_f64 or name_f32.
   Must not know: what the files compute.
   Next: the bodies: scalar_real.h, pack_real.h, sum_real.h, reduce_real.h, product_real.h, template_real.h,
   tangent_real.h, reverse_real.h. */
#define FA_JOIN_(name, suffix) name##_##suffix
#define FA_JOIN(name, suffix) FA_JOIN_(name, suffix)
#define FA_R(name) FA_JOIN(name, FA_SUFFIX)

#define FA_REAL double
#define FA_SUFFIX f64
#define FA_DTYPE FA_F64
#define FA_CELL f
#define FA_PARTIAL partial
#define FA_GEMM dgemm
#define FA_LANES 2
#include FA_BODY
#undef FA_REAL
#undef FA_SUFFIX
#undef FA_DTYPE
#undef FA_CELL
#undef FA_PARTIAL
#undef FA_GEMM
#undef FA_LANES

#define FA_REAL float
#define FA_SUFFIX f32
#define FA_DTYPE FA_F32
#define FA_CELL s
#define FA_PARTIAL partial_f32
#define FA_GEMM sgemm
#define FA_LANES 4
#include FA_BODY
#undef FA_REAL
#undef FA_SUFFIX
#undef FA_DTYPE
#undef FA_CELL
#undef FA_PARTIAL
#undef FA_GEMM
#undef FA_LANES

#undef FA_R
#undef FA_JOIN
#undef FA_JOIN_
#undef FA_BODY
