/* product_rows_reals.h - products with vectors for both types; included by levels.h once for each instruction set.
   Next: product_rows.h. */
#define FA_BODY "product_rows.h"
#include "reals.h"
