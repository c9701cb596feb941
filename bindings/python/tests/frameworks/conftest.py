# SPDX-License-Identifier: MIT
# conftest - the frameworks, one server for each application in clear text and over TLS, and curl.

import importlib
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import packages  # noqa: E402

packages.provide()

import requests  # noqa: E402

import evy  # noqa: E402
from programs import Log  # noqa: E402

FRAMEWORKS = ("flask", "django", "falcon", "bottle", "werkzeug")
PATIENCE = 20


class Site:
    """A running application and a requests.Session to it, which keeps its connection."""

    def __init__(self, name, server, is_tls, certificate):
        self.name, self.server, self.log, self.is_tls = name, server, server.log, is_tls
        self.scheme = "https" if is_tls else "http"
        self.url = f"{self.scheme}://localhost:{server.port}"
        self.certificate = certificate
        self.session = requests.Session()
        self.session.verify = certificate
        self.session.trust_env = False

    def request(self, method, path, **keywords):
        return self.session.request(method, self.url + path, timeout=PATIENCE, **keywords)

    def get(self, path, **keywords):
        return self.request("GET", path, **keywords)

    def post(self, path, **keywords):
        return self.request("POST", path, **keywords)

    def curl(self, *arguments, path):
        """curl's standard output; it is an error when curl reports one."""
        command = ["curl", "-sS", "--max-time", str(PATIENCE), "--cacert", self.certificate]
        done = subprocess.run(
            [*command, "--noproxy", "*", *map(str, arguments), self.url + path], capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@pytest.fixture(scope="session")
def run_site(pairs):
    """run_site(name, application, tls=False): a Site that ends with the session."""
    started = []

    def run(name, application, tls=False, **keywords):
        sock = evy.listen(("127.0.0.1", 0))
        if tls:
            sock = evy.wrap_ssl(sock, str(pairs / "private.key"), str(pairs / "cert.crt"), server_side=True)
        log = Log()
        server = evy.wsgi.Server(sock, application, log=log, **keywords)
        sock.close()
        server.log = log
        started.append(Site(name, server.start(), tls, str(pairs / "cert.crt")))
        return started[-1]

    yield run
    for site in started:
        site.session.close()
        site.server.stop(0)
    for site in started:
        assert site.server.join(10), "a server did not end"


@pytest.fixture(scope="session")
def site_of(run_site):
    """site_of(framework, tls=False): the Site of FRAMEWORK_site.py, started once."""
    sites = {}

    def get(name, tls=False):
        if (name, tls) not in sites:
            application = importlib.import_module(f"{name}_site").application
            sites[name, tls] = run_site(name, application, tls)
        return sites[name, tls]

    return get


@pytest.fixture(params=FRAMEWORKS)
def site(request, site_of):
    one = site_of(request.param)
    one.session.cookies.clear()
    return one


@pytest.fixture
def secure_site(site, site_of):
    """The same application over TLS."""
    return site_of(site.name, tls=True)
