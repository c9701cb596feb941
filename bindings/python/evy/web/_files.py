# SPDX-License-Identifier: MIT
"""_files - wsgi.file_wrapper: a file as an answer, sent by the kernel where it is a regular one."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from typing import Any


class FileWrapper:
    """wsgi.file_wrapper of PEP 3333: an iterable over the blocks of a file-like object.

    Returned as it is by the application, and made of a regular file that Python opened in binary mode, it is
    sent without a copy (sendfile), from the file's position on. Everything else is read block by block.
    block_size in bytes. close() closes the file.
    """

    def __init__(self, filelike: Any, block_size: int = 8192) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> Any:
        block = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def part(self) -> tuple[int, int, int] | None:
        """Descriptor, position and bytes from there to the end; None: only read() knows the content."""
        file = self.filelike
        wrapper_type = tempfile._TemporaryFileWrapper
        if isinstance(file, wrapper_type):
            file = file.file
        # Anything else with a fileno() may mean other bytes than its file holds, as gzip.GzipFile does.
        raw = getattr(file, "raw", None) if type(file) in (io.BufferedReader, io.BufferedRandom) else file
        if type(raw) is not io.FileIO:
            return None
        try:
            if type(file) is io.BufferedRandom:
                file.flush()
            descriptor = raw.fileno()
            facts = os.fstat(descriptor)
            position = file.tell()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(facts.st_mode) or _is_made_while_read(descriptor, facts):
            return None
        return descriptor, position, max(0, facts.st_size - position)


def _is_made_while_read(descriptor: int, facts: os.stat_result) -> bool:
    """Files of /proc say that they are empty, those of /sys that they are a page. Neither takes a block."""
    return facts.st_blocks == 0 and os.fstatvfs(descriptor).f_blocks == 0
