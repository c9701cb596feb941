# SPDX-License-Identifier: MIT
"""HTTPS; SIGHUP reads the files again: python examples/tls.py CERTIFICATE KEY

Try: curl --cacert CERTIFICATE https://localhost:8443/
"""

import signal
import sys

import evy
from evy.web import wsgi


def hello(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello over {env['SSL_PROTOCOL']}\r\n".encode()]


def reload(*_):
    try:
        tls.reload()
    except OSError as error:
        print(f"the old certificate stays: {error}", file=sys.stderr)


if len(sys.argv) != 3:
    sys.exit(__doc__)
tls = evy.TLS(sys.argv[1], sys.argv[2])
signal.signal(signal.SIGHUP, reload)
wsgi.server(evy.wrap_ssl(evy.listen(("", 8443)), server_side=True, tls=tls), hello)
