"""The keys under which a store lies in Redis, and names as bytes.

All keys begin with one hash tag, "{PREFIX}": a script touches one slot, and two stores of different prefixes do not meet. What is
made of several names tells them apart by their lengths, so any name is allowed.
"""

from penstock.errors import Refused


def named(text: str) -> bytes:
    """Return a name as bytes; `Refused` for half a character."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"Redis cannot keep {text!r}: {error}", "mend the text") from error


def joined(*names: str) -> bytes:
    """Return names as one."""
    parts = [named(name) for name in names]
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def split(packed: bytes) -> list[str]:
    """Return the names that `joined` was given."""
    names: list[str] = []
    while packed:
        length, _, rest = packed.partition(b":")
        names.append(rest[: int(length)].decode())
        packed = rest[int(length) :]
    return names


def lane_of(topic: str, partition: int) -> bytes:
    """Return the name of a partition of a topic."""
    return b"%d:%b" % (partition, named(topic))


def lane_in(name: bytes) -> tuple[str, int]:
    """Return the topic and the partition that `lane_of` was given."""
    partition, _, topic = name.partition(b":")
    return topic.decode(), int(partition)


class Keys:
    """The keys of one store."""

    def __init__(self, prefix: str, copy: str = "") -> None:
        # No key of a store begins as those of a copy of it do.
        self.all = b"{%b}%b:" % (prefix.encode(), f"/{copy}".encode() if copy else b"")
        self.meta = self.all + b"meta"  # format, and what is counted: epochs, runs, dead letters, events that wait
        self.wake = self.all + b"wake"  # the channel
        self.workers = self.all + b"workers"  # epoch -> its key, in the order of epochs
        self.parts = self.all + b"parts"  # partition -> the epoch of its owner
        self.topics = self.all + b"topics"
        self.lanes = self.all + b"lanes"  # the partitions of topics that have events
        self.events = self.all + b"events"  # id -> place and body
        self.event_ids = self.all + b"event_ids"  # in their order, to find what begins with an id
        self.runs = self.all + b"runs"  # id -> the last change
        self.run_ids = self.all + b"run_ids"  # of all that anything is known of, in their order
        self.arrivals = self.all + b"arrivals"  # runs in the order in which they came
        self.open = self.all + b"open"  # run -> its status, of those that have not succeeded
        self.progress = self.all + b"progress"
        self.sessions = self.all + b"sessions"  # the sessions that there are, in their order
        self.values = self.all + b"values"  # whose values there are, in their order
        self.dead = self.all + b"dead"
        self.deaths = self.all + b"deaths"  # dead letters in the order in which they came
        self.timers = self.all + b"timers"
        self.timer_queues = self.all + b"timer_queues"  # id -> its queue
        self.queues = self.all + b"queues"  # the queues of timers: CLOCK:PARTITION
        self.inbox = self.all + b"inbox"  # number -> event
        self.inbox_ids = self.all + b"inbox_ids"  # id -> number
        self.blobs = self.all + b"blobs"
        self.blob_ids = self.all + b"blob_ids"

    def worker(self, epoch: int) -> bytes:
        return b"%bworker:%d" % (self.all, epoch)

    def log(self, lane: bytes) -> bytes:
        """Event ids of a partition by their offsets."""
        return self.all + b"log:" + lane

    def journal(self, run_id: bytes) -> bytes:
        return self.all + b"journal:" + run_id

    def stream(self, run_id: str, name: str) -> bytes:
        return self.all + b"stream:" + joined(run_id, name)

    def streams(self, run_id: bytes) -> bytes:
        """The streams of a run: name -> bytes."""
        return self.all + b"streams:" + run_id

    def opened(self, status: str) -> bytes:
        """Runs of a status, as they came."""
        return self.all + b"open:" + status.encode()

    def session(self, place: bytes) -> bytes:
        return self.all + b"session:" + place

    def value(self, place: bytes) -> bytes:
        return self.all + b"value:" + place

    def value_notes(self, place: bytes) -> bytes:
        """Name -> when it was written, and whom it is about."""
        return self.all + b"value_notes:" + place

    def about(self, tenant: str, subject: str) -> bytes:
        """Where something may be about a subject: "s" and a session, or "v" and whose values."""
        return self.all + b"about:" + joined(tenant, subject)

    def queue(self, queue: bytes) -> bytes:
        """Timers in the order in which they are due."""
        return self.all + b"queue:" + queue

    def set_times(self, queue: bytes) -> bytes:
        """Timers by when they were set."""
        return self.all + b"set_times:" + queue

    def waiting(self, partition: int) -> bytes:
        """Numbers of the events that wait for the owner of a partition."""
        return b"%bwaiting:%d" % (self.all, partition)

    def permits(self, name: str) -> bytes:
        return self.all + b"permits:" + named(name)

    def uses(self, digest: bytes) -> bytes:
        """Who uses a blob: owner -> when; "n" counts how often that was written."""
        return self.all + b"uses:" + digest
