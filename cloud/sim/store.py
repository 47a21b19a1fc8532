"""What survives a restart: machines and schedules as JSON in one SQLite file, and when the simulator was last alive."""

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

_TABLE = "CREATE TABLE IF NOT EXISTS kept (kind TEXT, name TEXT, value TEXT, PRIMARY KEY (kind, name))"


class Store:
    """Each write is on disk (and survives the process's death) when the call returns."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        path.touch(mode=0o600)  # user data holds the machines' secrets
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(_TABLE)

    def put(self, kind: str, name: str, value: Any) -> None:
        with self._lock:
            self._connection.execute("REPLACE INTO kept VALUES (?, ?, ?)", (kind, name, json.dumps(value)))

    def drop(self, kind: str, name: str) -> None:
        with self._lock:
            self._connection.execute("DELETE FROM kept WHERE kind = ? AND name = ?", (kind, name))

    def all(self, kind: str) -> dict[str, Any]:
        with self._lock:
            rows = self._connection.execute("SELECT name, value FROM kept WHERE kind = ? ORDER BY rowid", (kind,))
            return {name: json.loads(value) for name, value in rows}

    def close(self) -> None:
        with self._lock:
            self._connection.close()
