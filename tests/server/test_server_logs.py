"""Rate-limited log lines: one per kind and interval, then a count."""

import logging
import time

from raw_http import TEXT, RawSocket, frame, send_request

from sed.server.logs import limited_logs


def test_log_lines_are_limited_in_rate(caplog):
    caplog.set_level(logging.INFO)
    log = logging.getLogger("sed.server")
    with limited_logs(interval=0.2) as limit:
        for number in range(50):
            log.warning("attack %d", number)
            log.info("detail")
        log.error("something else")
        limit.flush()
        assert [r.getMessage() for r in caplog.records if r.levelno > logging.INFO] == [
            "attack 0",
            "something else",
        ]
        time.sleep(0.25)
        limit.flush()
        assert caplog.records[-1].getMessage().startswith("49 more of these in 0 s: attack 0")
        log.warning("attack %d", 50)
    assert caplog.records[-1].getMessage() == "attack 50"
    log.warning("attack %d", 51)  # outside the block, nothing is suppressed
    log.warning("attack %d", 52)
    assert caplog.records[-2].getMessage() == "attack 51"


def test_a_client_cannot_fill_the_log(start_server, caplog):
    caplog.set_level(logging.WARNING)
    server = start_server()
    for _ in range(30):
        with RawSocket(server.base) as client:
            client.connection.sendall(frame(TEXT, b"\xff"))
            client.rest()
        send_request(server.base, b"\x00\r\n\r\n")
    assert 1 <= len(caplog.records) <= 4
