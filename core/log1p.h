/*
 * ln(1 + x) in single precision with the same bits everywhere.
 *
 * C libraries differ in the last bit of log1pf (musl's has other coefficients than glibc's), and
 * stored evidence must replay to the same scores on the next machine.  This is Sun's algorithm as in
 * glibc 2.36 (s_log1pf.c), with which it agrees for every float from 0 to the largest; nothing else
 * is taken.
 */
#ifndef CORE_LOG1P_H
#define CORE_LOG1P_H

float log1p_single(float x);

#endif
