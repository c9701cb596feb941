# SPDX-License-Identifier: MIT
"""python -m evy MODULE:APP - serves a WSGI application with pre-forked workers; see docs/operating.md."""

import sys

from evy._cli import process
from evy._cli.main import main

if __name__ == "__main__":
    process.open_standard_descriptors()
    sys.exit(main(sys.argv[1:]))
