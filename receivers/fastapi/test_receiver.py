"""Against a real server on loopback: `python -m unittest`."""

import asyncio
import base64
import json
import socket
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import uvicorn
from standardwebhooks.webhooks import Webhook

from inbox import Inbox
from receiver import COUNT_PATH, LARGEST_BODY, WEBHOOK_PATH, create_app

SECRET = "whsec_" + base64.b64encode(b"a secret for tests, 32 bytes long").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret, also of 32 bytes!").decode()
EVENT = {"jobId": "job-1", "runId": "run-1", "action": "finished", "summary": "整理今日重點"}
PATIENCE = 30


class Receiver:
    """A server on a free port, and what it has handled."""

    def __init__(self, inbox: Inbox, handle=None):
        self.handled: list[dict] = []
        self.changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        app = create_app(SECRET, inbox, handle or self.handle)
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})

    async def handle(self, event: dict) -> None:
        with self.changed:
            self.handled.append(event)
            self.changed.notify_all()

    def runs(self, count: int) -> list[str]:
        """The runs that were handled, once there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.handled) >= count, PATIENCE), self.handled
            return [event["runId"] for event in self.handled]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def post(self, body, **how) -> int:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(raw, signed(raw, **how))

    def send(self, raw: bytes, headers: dict[str, str]) -> int:
        request = urllib.request.Request(self.base + WEBHOOK_PATH, raw, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def processed(self) -> int:
        with urllib.request.urlopen(self.base + COUNT_PATH, timeout=PATIENCE) as answer:
            return json.load(answer)["processed"]


def signed(raw: bytes, event_id="evt_1", ago=timedelta(), secret=SECRET) -> dict[str, str]:
    at = datetime.now(tz=timezone.utc) - ago
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, raw.decode()),
    }


class ReceiverTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "inbox.sqlite")

    def inbox(self, **options) -> Inbox:
        inbox = Inbox(self.path, **options)
        self.addCleanup(inbox.close)
        return inbox

    def test_a_signed_event_is_accepted_and_handled(self):
        with Receiver(self.inbox()) as receiver:
            self.assertEqual(receiver.post(EVENT), 204)
            self.assertEqual(receiver.runs(1), ["run-1"])

    def test_an_event_that_is_sent_again_is_accepted_and_not_handled_again(self):
        with Receiver(self.inbox()) as receiver:
            for event_id, run in [("evt_1", "run-1"), ("evt_1", "run-1"), ("evt_2", "run-2")]:
                self.assertEqual(receiver.post({**EVENT, "runId": run}, event_id=event_id), 204)
            self.assertEqual(receiver.runs(2), ["run-1", "run-2"])

    def test_what_is_not_genuine_is_refused(self):
        raw = json.dumps(EVENT).encode()
        good = signed(raw)
        with Receiver(self.inbox()) as receiver:
            for name, body, headers in [
                ("another secret", raw, signed(raw, secret=OTHER_SECRET)),
                ("too old", raw, signed(raw, ago=timedelta(minutes=10))),
                ("from the future", raw, signed(raw, ago=timedelta(minutes=-10))),
                ("a changed byte", raw.replace(b"job-1", b"job-2"), good),
                ("no signature", raw, {}),
                ("no base64", raw, {**good, "webhook-signature": "v1,%%%"}),
                ("no comma", raw, {**good, "webhook-signature": "v1"}),
                ("no text", b"\xff\xfe", good),
            ]:
                with self.subTest(name):
                    self.assertEqual(receiver.send(body, headers), 401)
            self.assertEqual(receiver.processed(), 0)

    def test_a_body_of_a_mebibyte_is_accepted_and_one_of_more_than_two_is_not(self):
        with Receiver(self.inbox()) as receiver:
            self.assertEqual(receiver.post({**EVENT, "summary": "x" * 2**20}), 204)
            # One byte too many, so that the receiver has read all of it when it refuses.
            self.assertEqual(receiver.post(b"x" * (LARGEST_BODY + 1), event_id="evt_2"), 413)

    def test_a_full_inbox_answers_503_and_takes_what_it_knows_already(self):
        inbox = self.inbox(limit=1)
        started = threading.Event()
        goes_on = threading.Event()

        async def slow(_):
            started.set()
            await asyncio.to_thread(goes_on.wait)

        with Receiver(inbox, slow) as receiver:
            self.assertEqual(receiver.post(EVENT), 204, "the answer does not wait for the work")
            self.assertTrue(started.wait(PATIENCE))
            self.assertEqual(receiver.post(EVENT, event_id="evt_2"), 503)
            self.assertEqual(receiver.post(EVENT), 204)
            goes_on.set()

    def test_what_was_accepted_is_handled_after_a_restart_and_what_was_handled_is_known(self):
        inbox = Inbox(self.path)
        inbox.put("evt_1", json.dumps(EVENT).encode())
        inbox.close()
        with Receiver(self.inbox()) as receiver:
            self.assertEqual(receiver.runs(1), ["run-1"])
            self.assertEqual(receiver.post(EVENT), 204)
            self.assertEqual(receiver.post({**EVENT, "runId": "run-2"}, event_id="evt_2"), 204)
            self.assertEqual(receiver.runs(2), ["run-1", "run-2"])

    def test_work_that_fails_does_not_stop_the_work_after_it(self):
        handled = threading.Event()

        async def handle(event):
            if event["runId"] == "bad":
                raise ValueError("broken")
            handled.set()

        with Receiver(self.inbox(), handle) as receiver, self.assertLogs("receiver"):
            receiver.post({**EVENT, "runId": "bad"})
            receiver.post(EVENT, event_id="evt_2")
            self.assertTrue(handled.wait(PATIENCE))


if __name__ == "__main__":
    unittest.main()
