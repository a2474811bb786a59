"""The digest, sent to a mail server of the test's own: text and HTML of what the stored reports say first."""

import email
import shutil
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

import pytest

from features.workspace import Workspace, create
from serving.cli import main
from serving.reports.digest import digest, recomputed
from serving.reports.mail import VARIABLE, Server, _encrypted, send, written
from serving.reports.post import post
from serving.schedule import LOG, Refits, due

NOW = datetime(2026, 2, 1, 3, tzinfo=UTC)
SENDER, ANN, BOB = "attune@shop.example", "ann@shop.example", "Bob <bob@shop.example>"
SECRET = "p@ss/w:rd"  # noqa: S105  # of the server below


class Post(socketserver.ThreadingTCPServer):
    """Takes mail for everybody but nobody@, from who logs in where `closed`; keeps what came.

    With a certificate it encrypts: from the first byte, or as soon as that is asked for where it is `late`.
    """

    allow_reuse_address, daemon_threads = True, True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.logins: list[str] = []
        self.encrypted: list[str] = []  # what was said on an encrypted connection, by its verbs
        self.closed, self.late = False, True
        self.tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class Session(socketserver.StreamRequestHandler):
    server: Post

    def handle(self) -> None:
        with suppress(OSError):  # who does not trust the certificate goes away
            if not self.server.late:
                self.encrypt()
            self.talk()

    def encrypt(self) -> None:
        assert self.server.tls is not None
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.setup()

    def talk(self) -> None:
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if isinstance(self.request, ssl.SSLSocket):
                self.server.encrypted.append(verb)
            if verb == "QUIT":
                self.say("221 bye")
                return
            getattr(self, f"on_{verb.lower()}", lambda _: self.say("250 ok"))(line)

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.request.close()

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def on_ehlo(self, _line: str) -> None:
        plain = self.server.tls is not None and not isinstance(self.request, ssl.SSLSocket)
        self.say(f"250-test\r\n{'250-STARTTLS' if plain else '250-HELP'}\r\n250 AUTH PLAIN")

    def on_starttls(self, _line: str) -> None:
        self.say("220 go on")
        self.encrypt()

    def on_auth(self, line: str) -> None:
        self.server.logins.append(line.rsplit(maxsplit=1)[-1])
        self.say("535 no" if self.server.closed else "235 ok")

    def on_rcpt(self, line: str) -> None:
        if "nobody@" in line:
            return self.say("550 unknown")
        self.server.recipients.append(line.partition("<")[2].rstrip(">"))
        return self.say("250 ok")

    def on_data(self, _line: str) -> None:
        self.say("354 go on")
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        self.server.messages.append(email.message_from_bytes(b"".join(lines), policy=policy.default))
        self.say("250 taken")


@pytest.fixture
def mailer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    with Post() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv(VARIABLE, server.url)
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, signed by itself, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2020, 1, 1), datetime(2100, 1, 1))
    signed = made.add_extension(here, critical=True).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture(params=["smtp", "smtps"])
def encrypting(
    request: pytest.FixtureRequest, mailer: Post, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Post:
    """The server with the certificate, which encrypts late or from the first byte."""
    mailer.late, mailer.tls = request.param == "smtp", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mailer.tls.load_cert_chain(certificate)
    address = mailer.url.replace("smtp://", f"{request.param}://ann:p%40ss%2Fw%3Ard@")
    monkeypatch.setenv(VARIABLE, address)
    return mailer


@pytest.fixture
def shop(badge_shop: Workspace, tmp_path: Path) -> Workspace:
    """A shop like that of `badge`, whose reports are at reports.shop.example."""
    folder = tmp_path / "badge"
    shutil.copytree(badge_shop.folder, folder)
    with (folder / "attune.yaml").open("a") as settings:
        settings.write(f"\nreports: {{mail: [{ANN}], sender: {SENDER}, url: 'https://reports.shop.example'}}\n")
    return Workspace.open(folder)


def parts(message: EmailMessage) -> tuple[str, str]:
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text
    assert html
    return text.get_content(), html.get_content()


def test_the_digest_says_what_the_reports_say_first_with_links(shop: Workspace, mailer: Post) -> None:
    assert list(post(shop, NOW, to=[ANN, BOB], anew=False)) == ["mailed to 2 by 127.0.0.1"]
    (message,) = mailer.messages
    assert mailer.recipients == [ANN, "bob@shop.example"]
    assert (message["From"], message["To"]) == (SENDER, f"{ANN}, {BOB}")
    assert message["Subject"] == "shop: 1 report, 1 to ship"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = parts(message)
    for told in (text, html):
        assert "Experiment: badge" in told
        assert "Ship treatment" in told
        assert "conversion-rate is better by" in told
        assert "computed 3 hours ago" in told
        assert "https://reports.shop.example/reports/experiments/badge" in told
    assert "<script" not in html
    assert mailer.logins == []


def test_the_command_mails_the_stored_reports(
    shop: Workspace, mailer: Post, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.reports.digest.FRESH", timedelta(days=100_000))
    with pytest.raises(SystemExit) as ended:
        main(["report", "--mail", ANN, "-w", str(shop.folder)])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "mailed to 1 by 127.0.0.1\n"
    assert len(mailer.messages) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mail", ANN, "experiment", "badge"], "--all and --mail are for all reports together"),
        (["--mail", "ann\nBcc: eve@evil.example"], "is no address"),
        (["--mail", "nobody"], "is no address"),
        (["--mail", "ann@shop.example Bcc: eve@evil.example"], "is no address"),
        (["--mail", "ann@shop.example;eve@evil.example"], "is no address"),
        (["--mail", "ann: ann@shop.example, eve@evil.example;"], "is no address"),
        (["--mail", "ann@shop.example <eve@evil.example>"], "is no address"),
        (["--mail", "ann@.example"], "is no address"),
    ],
)
def test_what_cannot_be_mailed_is_one_line(
    shop: Workspace, mailer: Post, capsys: pytest.CaptureFixture[str], words: list[str], said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("serving.reports.digest.FRESH", timedelta(days=100_000))
    monkeypatch.setenv("ATTUNE_WORKSPACE", str(shop.folder))
    with pytest.raises(SystemExit) as ended:
        main(["report", *words])
    told = capsys.readouterr().err
    assert (ended.value.code, told.count("\n")) == (2, 1)
    assert said in told
    assert mailer.messages == []


@pytest.mark.parametrize(
    "url",
    ["", "mail.example", "http://mail.example", "smtp://",
     f"smtp://u:{SECRET}@h:x1", f"smtp://u:{SECRET}@h"],
)  # fmt: skip
def test_a_server_that_is_none_is_said_without_its_password(
    shop: Workspace, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(ValueError, match=f"^{VARIABLE} names no mail server; one like smtp://") as raised:
        list(post(shop, NOW, to=[ANN], anew=False))
    assert SECRET not in str(raised.value)


def test_a_password_is_sent_and_never_shown(shop: Workspace, mailer: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = mailer.server_address[:2]
    monkeypatch.setenv(VARIABLE, f"smtp://ann:p%40ss%2Fw%3Ard@{host!s}:{port}")
    server = Server.told()
    assert server.password == SECRET
    assert SECRET not in repr(server)
    list(post(shop, NOW, to=[ANN], anew=False))
    assert len(mailer.logins) == 1
    mailer.closed = True
    with pytest.raises(OSError, match=r"^127\.0\.0\.1 refused the mail \(535\)$"):
        list(post(shop, NOW, to=[ANN], anew=False))


def test_a_password_is_not_sent_over_a_plain_connection() -> None:
    class Plain:
        ehlo = staticmethod(lambda: None)
        has_extn = staticmethod(lambda _: False)

    with pytest.raises(OSError, match="offers no encryption"):
        _encrypted(Plain(), Server("smtp", "mail.example", 25, "ann", SECRET))  # type: ignore[arg-type]  # a double
    _encrypted(Plain(), Server("smtp", "mail.example", 25))  # type: ignore[arg-type]  # a double


def test_mail_is_encrypted_before_the_password_is_sent(
    shop: Workspace, encrypting: Post, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    list(post(shop, NOW, to=[ANN], anew=False))
    assert len(encrypting.messages) == len(encrypting.logins) == 1
    assert encrypting.encrypted == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]


def test_a_server_whose_certificate_nobody_vouches_for_is_told_nothing(shop: Workspace, encrypting: Post) -> None:
    with pytest.raises(OSError, match=r"^127\.0\.0\.1:\d+ took no mail: .*certificate verify failed"):
        list(post(shop, NOW, to=[ANN], anew=False))
    assert not any((encrypting.logins, encrypting.messages, encrypting.encrypted))


def test_whom_the_server_takes_no_mail_for_is_named_and_the_others_have_theirs(shop: Workspace, mailer: Post) -> None:
    with pytest.raises(OSError, match=r"takes no mail for nobody@shop\.example; the others have it"):
        list(post(shop, NOW, to=[ANN, "nobody@shop.example"], anew=False))
    assert len(mailer.messages) == 1
    with pytest.raises(OSError, match=r"takes no mail for nobody@shop\.example$"):
        list(post(shop, NOW, to=["nobody@shop.example"], anew=False))


def test_a_server_that_is_away_is_one_line(shop: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    message = written(digest(shop, NOW), SENDER, [ANN])
    with pytest.raises(OSError, match=r"^127\.0\.0\.1:1 took no mail: "):
        send(Server("smtp", "127.0.0.1", 1), message)


def test_without_a_sender_or_a_report_it_is_said_what_is_missing(mailer: Post, tmp_path: Path) -> None:
    bare = create(tmp_path / "shop")
    with pytest.raises(ValueError, match=r"reports\.sender is missing"):
        list(post(bare, NOW, to=[ANN], anew=True))
    with pytest.raises(ValueError, match="no report of the last 30 days is stored"):
        digest(bare, NOW)


def test_all_reports_are_computed_and_what_cannot_be_is_in_the_mail(tmp_path: Path) -> None:
    bare = create(tmp_path / "shop")
    faults = recomputed(bare, NOW)
    assert any(one.startswith("experiment ") and "exposed customers" in one for one in faults)
    told = digest(bare, NOW, faults)
    assert told.subject == "shop: 0 reports"
    assert f"Not computed: {faults[0]}" in told.text


def test_the_worker_computes_and_mails_at_the_time_of_the_schedule_and_says_what_failed(
    shop: Workspace, mailer: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shop.folder / "attune.yaml"
    path.write_text(path.read_text() + "\nschedule: {reports: '07:00'}\n")
    arms = "arms: {control: 0.5, treatment: 0.5}\n"
    (shop.folder / "experiments" / "unseen.yaml").write_text(f"key: unseen\n{arms}")
    (shop.folder / "experiments" / "later.yaml").write_text(f"key: later\n{arms}start: 2099-01-01\n")  # is no fault
    scheduled, refits = Workspace.open(shop.folder), Refits()
    before = (shop.reports / "experiment-badge.json").stat().st_mtime_ns
    assert due(scheduled, NOW) is None
    (said,) = refits.finish(scheduled, NOW + timedelta(hours=6))
    assert said.startswith("reports failed (1): attune: not computed: experiment unseen: experiment 'unseen' has ")
    assert (shop.reports / "experiment-badge.json").stat().st_mtime_ns > before
    assert all((shop.reports / f"{name}.json").is_file() for name in ("impact", "journey"))
    assert "mailed to 1 by 127.0.0.1" in (shop.state / LOG).read_text()
    (message,) = mailer.messages
    assert "Experiment: badge" in parts(message)[0]
    assert "Not computed: experiment unseen: " in parts(message)[0]
