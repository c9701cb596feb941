/* SPDX-License-Identifier: MIT
 * evy_scan.h - finds the first byte that ends a line, a token or a request target.
 * Room: Bytes (pure).  Spec: RFC 9110 section 5.5-5.6, RFC 9112 section 2-3.
 *
 * C, because Swift has no 16-byte compare that compiles to SSE2 (SIMD16 comparisons of the standard
 * library are eighty times slower).  Every function looks at base[from..<to], reads nothing outside
 * base[0..<to], and returns an offset from base: of the first byte that stops it, or `to`.
 */
#ifndef EVY_SCAN_H
#define EVY_SCAN_H
#include <stddef.h>
#include <stdint.h>

/* A byte no field value may hold: CTL without HT.  CR and LF are among them, so one scan finds the end
 * of the line and refuses NUL on the way. */
static inline int evy_is_control(uint8_t byte) {
  return (byte < 0x20 && byte != 0x09) || byte == 0x7f;
}

/* tchar of RFC 9110 section 5.6.2, as two 64-bit maps of the ASCII half. */
static inline int evy_is_token(uint8_t byte) {
  const uint64_t low = 0x03ff6cfa00000000ULL;  /* ! # $ % & ' * + - . 0-9 */
  const uint64_t high = 0x57ffffffc7fffffeULL; /* A-Z ^ _ ` a-z | ~ */
  if (byte >= 0x80) return 0;
  return (int)(((byte < 0x40 ? low : high) >> (byte & 0x3f)) & 1);
}

/* What a reg-name is made of besides percent signs: unreserved and sub-delims of RFC 3986. */
static inline int evy_is_host(uint8_t byte) {
  const uint64_t low = 0x2bff7fd200000000ULL;  /* ! $ & ' ( ) * + , - . 0-9 ; = */
  const uint64_t high = 0x47fffffe87fffffeULL; /* A-Z _ a-z ~ */
  if (byte >= 0x80) return 0;
  return (int)(((byte < 0x40 ? low : high) >> (byte & 0x3f)) & 1);
}

/* A byte at which reading a target must stop and think: SP, CTL, and the three with a meaning. */
static inline int evy_is_target_stop(uint8_t byte) {
  return byte <= 0x20 || byte == 0x7f || byte == '#' || byte == '%' || byte == '?';
}

#ifdef __SSE2__
/* Vector extensions instead of emmintrin.h: as a Clang module that header drags the C library in, and a
 * second time with other feature macros than evy_system.h asks for. */
typedef unsigned char evy_bytes16 __attribute__((vector_size(16)));
typedef char evy_mask16 __attribute__((vector_size(16)));

static inline evy_bytes16 evy_load16(const uint8_t *from) {
  evy_bytes16 bytes;
  __builtin_memcpy(&bytes, from, 16);
  return bytes;
}

static inline unsigned evy_bits16(evy_mask16 lanes) {
  return (unsigned)__builtin_ia32_pmovmskb128(lanes);
}

static inline unsigned evy_mask_control(evy_bytes16 bytes) {
  return evy_bits16((evy_mask16)(((bytes < 0x20) & (bytes != 0x09)) | (bytes == 0x7f)));
}

/* Everything but letters, digits and '-'. */
static inline unsigned evy_mask_not_plain(evy_bytes16 bytes) {
  evy_bytes16 letter = (bytes | 0x20) - 'a';
  evy_bytes16 digit = bytes - '0';
  return evy_bits16((evy_mask16)((letter < 26) | (digit < 10) | (bytes == '-'))) ^ 0xffffu;
}

/* Everything but letters, digits, '-' and '.'. */
static inline unsigned evy_mask_not_domain(evy_bytes16 bytes) {
  evy_bytes16 letter = (bytes | 0x20) - 'a';
  evy_bytes16 digit = bytes - '0';
  return evy_bits16((evy_mask16)((letter < 26) | (digit < 10) | (bytes == '-') | (bytes == '.'))) ^ 0xffffu;
}

static inline unsigned evy_mask_target(evy_bytes16 bytes) {
  return evy_bits16((evy_mask16)((bytes < 0x21) | (bytes == 0x7f) | (bytes == '#') | (bytes == '%') |
                                 (bytes == '?')));
}

/* 16 bytes a step; the rest by one step that overlaps bytes already seen (they are shifted out), or one
 * by one when the whole buffer is shorter than a step. */
#define EVY_SCAN_STEPS(mask_of)                                                                   \
  while (from + 16 <= to) {                                                                       \
    unsigned stops = mask_of(evy_load16(base + from));                                           \
    if (stops) return from + (size_t)__builtin_ctz(stops);                                        \
    from += 16;                                                                                   \
  }                                                                                               \
  if (from < to && to >= 16) {                                                                    \
    unsigned stops = mask_of(evy_load16(base + to - 16));                                        \
    stops >>= 16 - (to - from);                                                                   \
    return stops ? from + (size_t)__builtin_ctz(stops) : to;                                      \
  }
#else
#define EVY_SCAN_STEPS(mask_of)
#endif

static inline size_t evy_scan_control(const uint8_t *base, size_t from, size_t to) {
#ifdef __SSE2__
  /* Values are long (user agents, cookies): two steps for one branch. */
  while (from + 32 <= to) {
    unsigned stops = evy_mask_control(evy_load16(base + from)) |
                     evy_mask_control(evy_load16(base + from + 16)) << 16;
    if (stops) return from + (size_t)__builtin_ctz(stops);
    from += 32;
  }
#endif
  EVY_SCAN_STEPS(evy_mask_control)
  while (from < to && !evy_is_control(base[from])) from++;
  return from;
}

/* Letters, digits and '-' only: nearly every name is made of these. */
static inline int evy_is_plain(uint8_t byte) {
  return byte == '-' || (uint8_t)((byte | 0x20) - 'a') < 26 || (uint8_t)(byte - '0') < 10;
}

static inline size_t evy_scan_plain(const uint8_t *base, size_t from, size_t to) {
  EVY_SCAN_STEPS(evy_mask_not_plain)
  while (from < to && evy_is_plain(base[from])) from++;
  return from;
}

static inline size_t evy_scan_token(const uint8_t *base, size_t from, size_t to) {
  from = evy_scan_plain(base, from, to);
  while (from < to && evy_is_token(base[from])) from++;
  return from;
}

static inline size_t evy_scan_domain(const uint8_t *base, size_t from, size_t to) {
  EVY_SCAN_STEPS(evy_mask_not_domain)
  return from;
}

/* The end of a reg-name, or of its part before a percent sign. */
static inline size_t evy_scan_host(const uint8_t *base, size_t from, size_t to) {
  from = evy_scan_domain(base, from, to);
  while (from < to && evy_is_host(base[from])) from++;
  return from;
}

/* A decimal number up to 65535 that fills base[from..<to] (0 when that is empty); -1: it is none. */
static inline int32_t evy_port_number(const uint8_t *base, size_t from, size_t to) {
  uint32_t number = 0;
  for (; from < to; from++) {
    uint32_t digit = (uint32_t)base[from] - '0';
    if (digit > 9) return -1;
    number = number * 10 + digit;
    if (number > 65535) return -1;
  }
  return (int32_t)number;
}

static inline size_t evy_scan_target(const uint8_t *base, size_t from, size_t to) {
  EVY_SCAN_STEPS(evy_mask_target)
  while (from < to && !evy_is_target_stop(base[from])) from++;
  return from;
}

#undef EVY_SCAN_STEPS
#endif /* EVY_SCAN_H */
