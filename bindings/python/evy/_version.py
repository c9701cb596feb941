# SPDX-License-Identifier: MIT
"""_version - the version of this package; that of the loaded library is evy.version()."""

__version__ = "0.1.0"
