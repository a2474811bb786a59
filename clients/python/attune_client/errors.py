"""What can go wrong.

AttuneError              `code` and `message`
+-- RefusedError         the service answered, with `status`: what it says is wrong, or it cannot answer now
+-- UnreachableError     no answer came: `no_connection`, or `timeout`
"""

from __future__ import annotations


class AttuneError(Exception):
    """There is no answer; `code` is for programs, `message` says in one line what was given and what is needed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class RefusedError(AttuneError):
    """The service answered with another status than 200."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.status = status


class UnreachableError(AttuneError):
    """No answer came. Whether the service decided is not known, unless it was asked under an `idempotency_key`."""
