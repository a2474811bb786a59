"""Inflate: what a compressed body holds, as far as it is allowed to grow."""

from __future__ import annotations

import zlib

from serving.http.errors import HttpError

GZIP = 31  # zlib's word for a gzip header and the largest window


def inflated(content: bytes, encoding: str, most: int) -> bytes:
    """The body as it was before `Content-Encoding`; never more than `most` bytes are made of it."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return content
    if encoding not in ("gzip", "x-gzip"):
        raise HttpError(415, "unknown_encoding", f"Content-Encoding == {encoding[:80]!r}, gzip or none is taken")
    found = bytearray()
    while content or not found:
        part = zlib.decompressobj(GZIP)
        try:
            found += part.decompress(content, most + 1 - len(found))
        except zlib.error as error:
            raise HttpError(400, "not_gzip", f"the body cannot be read as gzip: {error}") from None
        if len(found) > most:
            raise HttpError(413, "too_large", f"the body inflates to more than the {most} bytes that are taken")
        if not part.eof:
            raise HttpError(400, "not_gzip", "the gzip body ends before its end")
        content = part.unused_data.lstrip(b"\0")  # some writers pad
        if not content:
            break
    return bytes(found)
