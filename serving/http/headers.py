"""Headers: what every answer tells a browser not to do with it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.pages import shell

EVERY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    *((name.encode(), value.encode()) for name, value in shell.HEADERS.items()),
]
CHALLENGE = (b"www-authenticate", b'Basic realm="attune"')  # a browser asks the analyst for the key: it is the user


class Headers:
    """ASGI middleware; what an answer says itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message["headers"]
                said = {name for name, _ in given}
                more = EVERY if message["status"] != 401 else [*EVERY, CHALLENGE]
                message = {**message, "headers": [*given, *(one for one in more if one[0] not in said)]}
            await send(message)

        await self.app(scope, receive, told if scope["type"] == "http" else send)
