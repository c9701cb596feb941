# SPDX-License-Identifier: MIT
# certificates - certificate authorities made by openssl, what they issue, and their OCSP responses.

import pathlib
import ssl
import subprocess

from client import Connection, client_context


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def subject_of(name):
    return f"/O=Evy Tests/CN={name}"


class Authority:
    """A root certificate in a folder; every file it makes carries a name of its own there."""

    def __init__(self, folder, name="root", issuer=None):
        self.folder, self.name = pathlib.Path(folder), name
        self.certificate, self.key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        signer = ["-CA", issuer.certificate, "-CAkey", issuer.key] if issuer else []
        self._make(self.certificate, self.key, name, "-days", "30", *signer)

    def intermediate(self, name):
        """An authority that this one vouches for."""
        return Authority(self.folder, name, self)

    def _make(self, certificate, key, name, *more):
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", subject_of(name), "-keyout", key, "-out", certificate, *more),
        )

    def issue(self, name, *dns, file=None, usage=None):
        """(certificate, key) for these DNS names; without one only the common name says whose it is."""
        stem = file or name.replace("*", "_")
        certificate, key = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        names = ["-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in dns)] if dns else []
        signer = ["-CA", self.certificate, "-CAkey", self.key]
        limits = ["-addext", "basicConstraints=critical,CA:FALSE", "-days", "30"]
        limits += ["-addext", f"extendedKeyUsage={usage}"] if usage else []
        self._make(certificate, key, name, *signer, *limits, *names)
        return str(certificate), str(key)

    def issue_bare(self, name, days=30):
        """The same without any extension, so that nothing but a name tells its issuer; days: also below 0."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request = self.folder / f"{name}.csr"
        openssl(*("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-subj", subject_of(name), "-keyout", key, "-out", request))  # fmt: skip
        openssl(*("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key),
                *("-CAcreateserial", "-days", str(days), "-out", certificate))  # fmt: skip
        return str(certificate), str(key)

    def ocsp(self, certificate, status="V", days=7):
        """The file of an OCSP response about a certificate; status "V" valid, "R" revoked."""
        stem = pathlib.Path(certificate).with_suffix("")
        serial = subprocess.run(
            ["openssl", "x509", "-in", certificate, "-noout", "-serial"],
            check=True, capture_output=True, text=True,
        ).stdout.strip().split("=")[1]  # fmt: skip
        revoked = "260101000000Z" if status == "R" else ""
        index = stem.with_suffix(".index")
        index.write_text(f"{status}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=x\n")
        request, response = stem.with_suffix(".req"), stem.with_suffix(".ocsp")
        openssl("ocsp", "-issuer", self.certificate, "-cert", certificate, "-reqout", request)
        openssl(
            *("ocsp", "-index", index, "-CA", self.certificate, "-rsigner", self.certificate),
            *("-rkey", self.key, "-reqin", request, "-respout", response, "-ndays", str(days)),
        )
        return str(response)


def der(certificate):
    """The bytes of the first certificate of a file."""
    return ssl.PEM_cert_to_DER_cert(pathlib.Path(certificate).read_text())


def environ(connection, target="/env"):
    return dict(connection.get(target).json()["block"])


def shown(server, name=None, context=None):
    """The certificate a new client is shown, DER."""
    with Connection(server, tls=context or client_context(), name=name) as connection:
        assert connection.alive()
        return connection.socket.getpeercert(binary_form=True)
