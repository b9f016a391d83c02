"""Unit tests of the parts of POST /diarize: fair scheduling, addresses, forms."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.server.address import client_address
from sed.server.fairness import FairQueue, largest_share
from sed.server.forms import MAX_HEADER, FormFile
from sed.server.options import ServerOptions
from sed.server.refusal import UploadError

ADDRESSES = st.sampled_from("abcd")


@given(st.lists(st.one_of(ADDRESSES, st.none(), st.integers(0, 30)), max_size=60))
def test_addresses_are_served_round_robin_and_entries_in_order(steps):
    """In `steps`, an address puts an entry, None takes one, and a number removes that entry."""
    queue, waiting, number, wait = FairQueue(), [], 0, {}
    for step in steps:
        if isinstance(step, str):
            queue.put(step, number)
            waiting.append((step, number))
            wait[number] = set()  # the addresses that were served meanwhile
            number += 1
        elif step is None and waiting:
            expected = {entry: queue.ahead(entry) for _, entry in waiting}
            taken = queue.take()
            assert expected[taken] == 0 and len(set(expected.values())) == len(expected)
            address = next(a for a, entry in waiting if entry == taken)
            assert taken == min(entry for a, entry in waiting if a == address)
            waiting.remove((address, taken))
            for other in {a for a, _ in waiting} - {address}:
                first = min(entry for a, entry in waiting if a == other)
                assert (
                    address not in wait[first]
                )  # no address is served twice while the first entry of another one waits
                wait[first].add(address)
        elif isinstance(step, int):
            assert queue.remove(step) == any(entry == step for _, entry in waiting)
            waiting = [pair for pair in waiting if pair[1] != step]
        assert len(queue) == len(waiting)


@given(st.dictionaries(ADDRESSES, st.integers(1, 5)), ADDRESSES)
def test_a_slot_is_reassigned_only_if_that_is_fairer(counts, newcomer):
    share = largest_share(counts, newcomer)
    own = counts.get(newcomer, 0)
    if share is None:
        assert all(count <= own + 1 for count in counts.values())
    else:
        assert counts[share] == max(counts.values()) >= own + 2


def test_taking_from_an_empty_queue_raises():
    with pytest.raises(IndexError):
        FairQueue().take()


@pytest.mark.parametrize(
    "peer, forwarded, address",
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),  # not a trusted proxy
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.1.2.3", ['"[2001:db8::7]:80"'], "2001:db8::/64"),
        ("10.1.2.3", ["unknown"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9, , "], "10.1.2.3"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("::ffff:10.1.2.3", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, ["203.0.113.9"], ""),
    ],
)
def test_the_address_of_a_client(peer, forwarded, address):
    options = ServerOptions(trusted_proxies=("10.0.0.0/8", "::1"))
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"type": "http", "client": (peer, 5) if peer else None, "headers": headers}
    assert client_address(scope, options) == address


def test_a_proxy_that_is_not_an_address_is_rejected():
    with pytest.raises(OptionError, match=r"trusted proxy 'nginx': expected an IP address or network"):
        ServerOptions(trusted_proxies=("nginx",))


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\ntext\r\n'
    b'--x\r\ncontent-disposition: form-data; name="file"; filename="\xc3\xa4.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\nRIFF\r\n--\r\n-\r\n--x--\r\nepilogue"
)


def read_form(body, size=7, content_type="Multipart/Form-Data; boundary=x"):
    out = io.BytesIO()
    form = FormFile(content_type, out)
    for first in range(0, len(body), size):
        form.write(body[first : first + size])
    form.finish()
    return form.name, out.getvalue()


@given(st.integers(1, len(FORM)))
def test_a_form_is_parsed_in_chunks_of_any_size(size):
    assert read_form(FORM, size) == ("ä.wav", b"RIFF\r\n--\r\n-")


FILE = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nRIFF\r\n'
FIELD = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\ntext\r\n'


@pytest.mark.parametrize(
    "body, message",
    [
        (FILE, "the closing boundary is missing"),
        (FILE[:30], "the closing boundary is missing"),
        (b"", "the closing boundary is missing"),
        (b"no form at all", "boundary"),
        (FIELD + b"--x--\r\n", "without a file"),
        (FILE + FILE + b"--x--\r\n", "more than one file"),
        (FIELD * 10 + FILE + b"--x--\r\n", "more than 9 parts"),
        (b"--x\r\nA: " + b"a" * MAX_HEADER + b"\r\n\r\n", "eader"),
        (b"--x\r\n" + b"a: b\r\n" * MAX_HEADER + b"\r\n\r\n", "eader"),
    ],
)
def test_malformed_forms(body, message):
    with pytest.raises(UploadError, match=message) as rejected:
        read_form(body)
    assert rejected.value.code == "bad_request"


@pytest.mark.parametrize("content_type", ["multipart/form-data", 'multipart/form-data; boundary=""'])
def test_a_form_needs_a_boundary(content_type):
    with pytest.raises(UploadError, match="without a boundary"):
        read_form(FILE, content_type=content_type)
