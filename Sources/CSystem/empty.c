/* SPDX-License-Identifier: MIT */
/* SwiftPM wants one C file in a C target; all of CSystem is static inline in include/. */
typedef int evy_csystem_is_headers_only;
