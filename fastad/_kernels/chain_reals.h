/* chain_reals.h - the steps of chains for both types; included by levels.h once for each instruction set.
   Next: chain_steps.h. */
#define FA_BODY "chain_steps.h"
#include "reals.h"
