// SPDX-License-Identifier: MIT
// Shared - turns EvyCore into libevy.so: this target holds the link flags, see Package.swift.
// Room: none (nothing is declared here; everything the library exports lives in EvyCore/ABI).
