"""Beginning to write to a file that other processes write to as well.

SQLite's own waiting looks again after 1, 2, 5, and up to 100 ms. Between two workers that commit all the time that is longer
than their commits: one of them would often find the file taken just then, and wait for a tenth of a second.
"""

import sqlite3
import time

WITHIN_S = 5.0
LOOK_AGAIN_S = 0.0003
PATIENT_AFTER = 64  # looks, after which the pauses grow
PAUSE_S_MAX = 0.005


def begin(connection: sqlite3.Connection, within_s: float = WITHIN_S) -> None:
    """Begin a transaction that writes, as soon as nobody else does; SQLite's error for a busy file after some seconds.

    The connection's own `busy_timeout` should be 0. To be called in a thread that may wait.
    """
    ends_s = time.monotonic() + within_s
    looks = 0
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= ends_s:
                raise
        else:
            return
        looks += 1
        time.sleep(LOOK_AGAIN_S if looks < PATIENT_AFTER else min(PAUSE_S_MAX, LOOK_AGAIN_S * looks / PATIENT_AFTER))
