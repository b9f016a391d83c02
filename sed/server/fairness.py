"""Fair scheduling between clients: a round-robin queue over addresses, and the choice of whose slot is reassigned.

Pure data structures without locks and clocks; an entry is any hashable object, an address any string.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar

Entry = TypeVar("Entry", bound=Hashable)


def largest_share(counts: Mapping[str, int], newcomer: str) -> str | None:
    """The address that loses one of its slots to `newcomer`, or None if that would not be fairer.

    `counts` are the occupied slots per address. The address with the most slots loses one, provided that it
    keeps at least as many as the newcomer then has; so an address without slots is admitted to a full server.

    >>> largest_share({"a": 3, "b": 1}, "c"), largest_share({"a": 1, "b": 1}, "c")
    ('a', None)
    """
    most = max(counts, key=lambda address: counts[address], default=None)
    if most is None or most == newcomer or counts[most] < counts.get(newcomer, 0) + 2:
        return None
    return most


class FairQueue(Generic[Entry]):
    """A queue of entries by address: addresses are served round-robin, entries of one address in order.

    >>> queue = FairQueue()
    >>> for address, entry in [("a", 1), ("a", 2), ("a", 3), ("b", 4)]:
    ...     queue.put(address, entry)
    >>> [queue.ahead(entry) for entry in (1, 2, 3, 4)]
    [0, 2, 3, 1]
    >>> [queue.take() for _ in range(len(queue))]
    [1, 4, 2, 3]
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[Entry]] = {}  # in the order in which the addresses are served
        self._address: dict[Entry, str] = {}
        self._latest = ""  # the address that was served last

    def __len__(self) -> int:
        return len(self._address)

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._address

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._address))

    def put(self, address: str, entry: Entry) -> None:
        """Append an entry. A new address is served after the others, but before the one served last."""
        self._queues.setdefault(address, deque()).append(entry)
        self._address[entry] = address
        if self._latest in self._queues:
            self._queues[self._latest] = self._queues.pop(self._latest)

    def take(self) -> Entry:
        """Remove and return the next entry; its address moves to the end. Raises `IndexError` if empty."""
        if not self._queues:
            raise IndexError("the queue is empty: expected an entry")
        address, queue = next(iter(self._queues.items()))
        entry = queue.popleft()
        del self._queues[address], self._address[entry]
        if queue:
            self._queues[address] = queue
        self._latest = address
        return entry

    def remove(self, entry: Entry) -> bool:
        """Remove an entry from any position; returns whether it was queued."""
        address = self._address.pop(entry, None)
        if address is None:
            return False
        queue = self._queues[address]
        queue.remove(entry)
        if not queue:
            del self._queues[address]
        return True

    def last_of(self, address: str) -> Entry:
        """The newest entry of `address`. Raises `KeyError` if it has none."""
        return self._queues[address][-1]

    def counts(self) -> dict[str, int]:
        """Number of entries per address."""
        return {address: len(queue) for address, queue in self._queues.items()}

    def ahead(self, entry: Entry) -> int:
        """How many entries are taken before this one if no more are added. Raises `KeyError` if not queued."""
        address = self._address[entry]
        own = self._queues[address].index(entry)
        total, rounds = own, own + 1  # addresses served before this one have one more round
        for other, queue in self._queues.items():
            if other == address:
                rounds = own
            else:
                total += min(len(queue), rounds)
        return total
