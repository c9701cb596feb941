# SPDX-License-Identifier: MIT
# served - a folder with a file to serve, and what the applications say about a body.

import atexit
import hashlib
import pathlib
import tempfile

_folder = tempfile.TemporaryDirectory(prefix="evy-frameworks-")
atexit.register(_folder.cleanup)
FOLDER = pathlib.Path(_folder.name)
# Each line tells its own place, so that a wrong range shows.
NUMBERS = "".join(f"{number:07d}\n" for number in range(12_500)).encode()
(FOLDER / "numbers.txt").write_bytes(NUMBERS)


def facts(body):
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
