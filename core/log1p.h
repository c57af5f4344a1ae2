/*
 * ln(1 + x) in single precision with the same bits everywhere.
 *
 * C libraries differ in the last bit of log1pf (glibc's changed with 2.41), and stored evidence must
 * replay to the same scores on the next machine.  This is the algorithm of FreeBSD's msun and of
 * glibc up to 2.40 (s_log1pf.c: within 1 ulp), for what the detector needs: 0 <= x < infinity.
 */
#ifndef CORE_LOG1P_H
#define CORE_LOG1P_H

float log1p_single(float x);

#endif
