"""Mail: a message over SMTP, by the server that ATTUNE_SMTP_URL names.

    smtp://user:password@host:587     encrypted as soon as the server offers it (STARTTLS)
    smtps://user:password@host:465    encrypted from the first byte

A password is sent over an encrypted connection only, or to this host. It is never shown.
"""

from __future__ import annotations

import os
import re
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from serving.reports.digest import Digest

VARIABLE = "ATTUNE_SMTP_URL"
EXAMPLE = "one like smtp://user:password@mail.example:587 is needed"
PORTS = {"smtp": 587, "smtps": 465}
SECONDS = 30  # for the server to answer
PART = r"[^\x00-\x20\x7f<>@.,;:()\[\]\"\\]+"  # without what is a sign of its own in a header
ONE = rf"{PART}(?:\.{PART})*@{PART}(?:\.{PART})*"
NAME = r"(?:\"[^\x00-\x1f\x7f\"\\]*\" *|[^\x00-\x1f\x7f<>@,;:()\[\]\"\\]*)"
ADDRESS = re.compile(rf"{ONE}|{NAME}<{ONE}>")  # of one person, maybe with a name
HERE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Server:
    """Where mail is handed over."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def told(cls) -> Self:
        """As the environment says; an error, without what it says, where that is no address."""
        try:
            address = urlsplit(os.environ.get(VARIABLE, ""))
            port = address.port
        except ValueError:
            address, port = SplitResult("", "", "", "", ""), None
        rest = address.path.strip("/"), address.query, address.fragment  # of a password that is not percent-encoded
        if address.scheme not in PORTS or not address.hostname or any(rest):
            raise ValueError(f"{VARIABLE} names no mail server; {EXAMPLE}")
        user, password = (None if part is None else unquote(part) for part in (address.username, address.password))
        return cls(address.scheme, address.hostname, port or PORTS[address.scheme], user, password)


def written(digest: Digest, sender: str, to: Sequence[str]) -> EmailMessage:
    """The digest as a message of text and HTML."""
    for address in (sender, *to):
        _require_address(address)
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = " ".join(digest.subject.split()), sender, ", ".join(to)
    message["Date"] = format_datetime(digest.moment)
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # no answer of a machine comes back (RFC 3834)
    message.set_content(digest.text)
    message.add_alternative(digest.html, subtype="html")
    return message


def send(server: Server, message: EmailMessage) -> None:
    """Hands the message over; OSError where the server does not take it for everybody."""
    try:
        with _connected(server) as connection:
            _encrypted(connection, server)
            if server.user is not None:
                connection.login(server.user, server.password or "")
            refused = connection.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        raise OSError(f"{server.host} takes no mail for {', '.join(sorted(error.recipients))}") from None
    except smtplib.SMTPResponseException as error:  # its words may repeat what was sent
        raise OSError(f"{server.host} refused the mail ({error.smtp_code})") from None
    except UnicodeError:  # its words would repeat a character of the password
        raise OSError(f"{server.host} took no mail: its password, or an address, is not plain ASCII") from None
    except (smtplib.SMTPException, OSError) as error:
        raise OSError(f"{server.host}:{server.port} took no mail: {' '.join(str(error).split())[:200]}") from None
    if refused:
        raise OSError(f"{server.host} takes no mail for {', '.join(sorted(refused))}; the others have it")


def _connected(server: Server) -> smtplib.SMTP:
    if server.scheme == "smtps":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(server.host, server.port, timeout=SECONDS, context=context)
    return smtplib.SMTP(server.host, server.port, timeout=SECONDS)


def _encrypted(connection: smtplib.SMTP, server: Server) -> None:
    connection.ehlo()
    if server.scheme == "smtps":
        return
    if connection.has_extn("starttls"):
        connection.starttls(context=ssl.create_default_context())
        connection.ehlo()
    elif server.user is not None and server.host not in HERE:
        raise OSError("it offers no encryption, so no password is sent to it")


def _require_address(address: str) -> None:
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"{address[:200]!r} is no address; one like ann@shop.example is needed")
