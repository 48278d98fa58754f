"""Runs the receiver on this machine: `python main.py`."""

import os
import socket
import sys
from pathlib import Path

import uvicorn

from inbox import Inbox
from receiver import WEBHOOK_PATH, create_app


async def handle(event: dict) -> None:
    """Your work goes here. It runs after the answer, once for each event, unless the process dies in the midst of it."""
    print(f"{event.get('jobName')}: {event.get('status')}: {event.get('summary', event.get('error'))!r:.200}", flush=True)


def signing_secret() -> str:
    if secret := os.environ.get("CLAWHOOK_SIGNING_SECRET"):
        return secret.strip()
    if path := os.environ.get("CLAWHOOK_SIGNING_SECRET_FILE"):
        return Path(path).read_text().strip()
    sys.exit("set CLAWHOOK_SIGNING_SECRET, or CLAWHOOK_SIGNING_SECRET_FILE to a file that holds it")


def main() -> None:
    inbox = Inbox(os.environ.get("INBOX", "inbox.sqlite"))
    app = create_app(signing_secret(), inbox, handle)
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "3000"))))
    # Connections inherit it; without it an answer's body waits for the acknowledgement of its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}{WEBHOOK_PATH}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
    inbox.close()


if __name__ == "__main__":
    main()
