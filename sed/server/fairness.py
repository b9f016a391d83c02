"""Fair shares between clients: a queue that serves addresses in turn, and who has to give up a place.

Pure data structures without locks and clocks; an entry is any hashable object, an address any string.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar

Entry = TypeVar("Entry", bound=Hashable)


def largest_share(counts: Mapping[str, int], newcomer: str) -> str | None:
    """The address that gives up one of its places for `newcomer`, or None where that would not be fairer.

    `counts` are the places of each address. The one with most of them gives one up, provided that it still has
    as many as the newcomer afterwards; so a full house is no reason to refuse an address that has nothing.

    >>> largest_share({"a": 3, "b": 1}, "c"), largest_share({"a": 1, "b": 1}, "c")
    ('a', None)
    """
    most = max(counts, key=lambda address: counts[address], default=None)
    if most is None or most == newcomer or counts[most] < counts.get(newcomer, 0) + 2:
        return None
    return most


class FairQueue(Generic[Entry]):
    """Entries of several addresses: addresses are served in turn, the entries of one address in order.

    >>> queue = FairQueue()
    >>> for address, entry in [("a", 1), ("a", 2), ("a", 3), ("b", 4)]:
    ...     queue.put(address, entry)
    >>> [queue.ahead(entry) for entry in (1, 2, 3, 4)]
    [0, 2, 3, 1]
    >>> [queue.take() for _ in range(len(queue))]
    [1, 4, 2, 3]
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[Entry]] = {}  # in the order in which the addresses are served
        self._address: dict[Entry, str] = {}
        self._latest = ""  # the address that was served last

    def __len__(self) -> int:
        return len(self._address)

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._address

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._address))

    def put(self, address: str, entry: Entry) -> None:
        """Append an entry. An address without any has its turn after the others, but the one served last."""
        self._lines.setdefault(address, deque()).append(entry)
        self._address[entry] = address
        if self._latest in self._lines:
            self._lines[self._latest] = self._lines.pop(self._latest)

    def take(self) -> Entry:
        """Remove and return the next entry; its address is served last from now on. Raises `IndexError`."""
        if not self._lines:
            raise IndexError("an empty queue: expected an entry")
        address, line = next(iter(self._lines.items()))
        entry = line.popleft()
        del self._lines[address], self._address[entry]
        if line:
            self._lines[address] = line
        self._latest = address
        return entry

    def remove(self, entry: Entry) -> bool:
        """Remove an entry from the middle; returns whether it was there."""
        address = self._address.pop(entry, None)
        if address is None:
            return False
        line = self._lines[address]
        line.remove(entry)
        if not line:
            del self._lines[address]
        return True

    def last_of(self, address: str) -> Entry:
        """The entry that `address` put last. Raises `KeyError` where it has none."""
        return self._lines[address][-1]

    def counts(self) -> dict[str, int]:
        """Entries by address."""
        return {address: len(line) for address, line in self._lines.items()}

    def ahead(self, entry: Entry) -> int:
        """How many entries are taken before this one if no more come. Raises `KeyError` where it is not there."""
        address = self._address[entry]
        own = self._lines[address].index(entry)
        total, rounds = own, own + 1  # addresses served before this one have one more round
        for other, line in self._lines.items():
            if other == address:
                rounds = own
            else:
                total += min(len(line), rounds)
        return total
