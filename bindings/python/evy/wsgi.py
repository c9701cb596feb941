# SPDX-License-Identifier: MIT
"""wsgi - the short name of evy.web.wsgi."""

import sys

from evy.web import wsgi

# One module under both names, so that what is set on one (is_accepting) holds for the other.
sys.modules[__name__] = wsgi
