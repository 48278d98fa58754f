"""Events that were accepted, in a file: what has been answered with 2xx survives a restart."""

import sqlite3
import threading
import time

# Longer than a sender goes on trying: until then a repeat is known for what it is.
REMEMBERED_SECONDS = 30 * 24 * 3600

SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  accepted_at REAL NOT NULL,
  body BLOB            -- gone once the event is processed; the id stays
);
CREATE INDEX IF NOT EXISTS waiting ON inbox (number) WHERE body IS NOT NULL;
CREATE INDEX IF NOT EXISTS oldest ON inbox (accepted_at);
"""


class Full(Exception):
    """So much waits already that no more is accepted."""


class Inbox:
    """One for each process; `limit` is how many events may wait."""

    def __init__(self, path: str, limit: int = 10_000):
        self._limit = limit
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(SCHEMA)

    def put(self, event_id: str, body: bytes) -> bool:
        """Keeps a new event on disk; False if it was here before."""
        with self._lock:
            known = self._db.execute("SELECT 1 FROM inbox WHERE id = ?", (event_id,)).fetchone()
            if known:
                return False
            if self.waiting() >= self._limit:
                raise Full
            now = time.time()
            forgotten = now - REMEMBERED_SECONDS
            self._db.execute("DELETE FROM inbox WHERE accepted_at < ? AND body IS NULL", (forgotten,))
            self._db.execute("INSERT INTO inbox (id, accepted_at, body) VALUES (?, ?, ?)", (event_id, now, body))
            return True

    def next(self) -> tuple[int, bytes] | None:
        """The oldest event that waits."""
        with self._lock:
            query = "SELECT number, body FROM inbox WHERE body IS NOT NULL ORDER BY number LIMIT 1"
            return self._db.execute(query).fetchone()

    def done(self, number: int) -> None:
        """Forgets an event's body; its id stays known."""
        with self._lock:
            self._db.execute("UPDATE inbox SET body = NULL WHERE number = ?", (number,))

    def waiting(self) -> int:
        return self._db.execute("SELECT count(*) FROM inbox WHERE body IS NOT NULL").fetchone()[0]

    def processed(self) -> int:
        """How many remembered events have been processed."""
        with self._lock:
            return self._db.execute("SELECT count(*) FROM inbox WHERE body IS NULL").fetchone()[0]

    def close(self) -> None:
        with self._lock:
            self._db.close()
