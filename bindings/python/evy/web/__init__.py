# SPDX-License-Identifier: MIT
"""evy.web - what serves web applications: see evy.web.wsgi."""
