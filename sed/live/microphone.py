"""A microphone through PortAudio (package sounddevice): int16 mono blocks at the device's sample rate out.

The callback only selects the channel and puts the block into a queue; nothing else runs in PortAudio's thread. Errors
of the device are raised as `DeviceError` with one sentence.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from sed.console import quiet_libraries
from sed.errors import DeviceError, OptionError
from sed.live.blocks import BlockQueue, Gap, Pace
from sed.live.devices import find_device, load_sounddevice, reason
from sed.live.recorder import to_int16

log = logging.getLogger("sed.live")

BLOCKS_PER_SECOND = 20
SILENCE_TIMEOUT = 5.0  # seconds without a block after which the device is considered lost


class Microphone:
    """A source of mono int16 blocks at a sample rate of `rate` Hz.

    `device` is as in `find_device`. `channels` is the number of a channel, starting at 1, or ``mix`` for the mean of
    all channels. `rate` None uses the device's default. Raises like `find_device`; `start` opens the device.

    In your own program::

        with Microphone() as microphone:
            for block in microphone.blocks():  # (n,) float32 at 16 kHz
                for event in stream.push(block):
                    ...
    """

    live = True  # runs in real time

    def __init__(
        self, device: str | int | None = None, channels: int | str = 1, rate: int | None = None
    ) -> None:
        self.device = find_device(device)
        if channels != "mix" and not isinstance(channels, int):
            raise OptionError(f"channels {channels!r} of a microphone: expected mix or a number of 1 or more")
        if isinstance(channels, int) and not 1 <= channels <= self.device.channels:
            raise OptionError(
                f"channel {channels} of {self.device.name}: expected 1 to {self.device.channels}"
            )
        self.name = self.device.name
        self.rate = rate or self.device.rate
        self.overflows = 0  # number of times that PortAudio lost audio before the callback
        # Virtual devices report many channels (PulseAudio: 32) and use few of them: open only two.
        mix_channels = self.device.channels if self.device.channels <= 16 else 2
        self._open_channels = mix_channels if channels == "mix" else int(channels)
        self._mix = channels == "mix"
        self._stream: Any = None
        self._queue = BlockQueue(0)
        self._pace = Pace(self.rate)
        self._ended = threading.Event()
        self._stopping = False
        self._reported_overflows = 0
        self._last_block = self._last_check = 0.0

    def start(self, queue: BlockQueue) -> None:
        """Open the device and put its blocks into `queue` until `stop`.

        Raises `DeviceError` if the device cannot be opened: busy, no permission, unsupported rate or channels.
        """
        sounddevice = load_sounddevice()
        self._queue = queue
        self._pace = Pace(self.rate)
        self._ended.clear()
        self._stopping = False
        try:
            with quiet_libraries():
                self._stream = sounddevice.InputStream(
                    device=self.device.number,
                    samplerate=self.rate,
                    channels=self._open_channels,
                    dtype="int16",
                    blocksize=max(1, self.rate // BLOCKS_PER_SECOND),
                    latency="high",  # a larger buffer: 0.1 s of delay, but no loss while the machine is busy
                    callback=self._take,
                    finished_callback=self._ended.set,
                )
                self._last_block = self._last_check = time.monotonic()
                self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            self.stop()
            raise DeviceError(
                f"cannot open the microphone {self.name} (channels: {self._open_channels}, {self.rate} Hz): "
                f"{reason(error)}; expected a device that is free and that this user is allowed to open"
            ) from error

    def check(self) -> None:
        """Raise `DeviceError` if the device is lost: its stream has ended, or it delivers no blocks any more."""
        now = time.monotonic()
        if now - self._last_check > 1.0:  # this program itself was suspended: restart the timeout
            self._last_block = now
        self._last_check = now
        if self._stopping or self._stream is None:
            return
        if self.overflows > self._reported_overflows:
            log.warning("%s: the device's buffer overflowed, so some audio is missing", self.name)
            self._reported_overflows = self.overflows
        if self._ended.is_set():
            raise DeviceError(f"the microphone {self.name} was lost")
        if self._pace.ahead == 0.0 and now - self._last_block > SILENCE_TIMEOUT:
            raise DeviceError(f"the microphone {self.name} has delivered nothing for {SILENCE_TIMEOUT:.0f} s")

    def max_wait(self) -> float:
        """Seconds for which this source can be blocked without losing audio."""
        return self._pace.ahead

    def stop(self) -> None:
        """Close the device; may be called twice. Waits at most 2 seconds for a device that does not respond."""
        self._stopping = True
        stream, self._stream = self._stream, None
        if stream is not None:
            closing = threading.Thread(target=stream.close, daemon=True)
            closing.start()
            closing.join(2.0)

    def __enter__(self) -> Microphone:
        self.start(BlockQueue(20 * self.rate))
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.finish()
        self.stop()

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield ``(n,)`` float32 blocks at 16 kHz until the device is lost (`DeviceError`); for use inside `with`.

        Also raises `DeviceError` if the caller falls more than 20 seconds behind: nothing is lost silently.
        """
        resample = Resampler(self.rate)
        while True:
            self.check()
            with contextlib.suppress(TimeoutError):
                item = self._queue.get(timeout=0.5)
                if item is None:
                    return
                if isinstance(item, Gap):
                    raise DeviceError(
                        f"{item.samples / self.rate:.1f} s of {self.name} lost: the blocks were read too slowly"
                    )
                yield resample.push(item)

    def _take(self, data: np.ndarray, frames: int, _: Any, status: Any) -> None:
        """PortAudio's callback; `data` is ``(frames, channels)`` int16."""
        if self._stopping:
            return
        if status.input_overflow:
            self.overflows += 1
        if self._mix and data.shape[1] > 1:
            block = to_int16(data.mean(1, dtype=np.float32) / np.float32(32768))
        else:
            block = data[:, -1].copy()
        self._pace.add(frames)
        self._queue.put(block, self._pace.ahead)
        self._last_block = time.monotonic()


class Resampler:
    """Resamples mono blocks at `rate` Hz, int16 or float32 of full scale 1, to float32 at 16 kHz.

    The output does not depend on the block sizes, and equals that of `sed.audio` for a file with the same samples.
    """

    def __init__(self, rate: int) -> None:
        from sed.audio import Resampler as Columns

        self._columns = Columns(rate)

    def push(self, block: np.ndarray) -> np.ndarray:
        """The output samples that `block` completes."""
        if block.dtype == np.int16:
            block = block.astype(np.float32) / np.float32(32768)
        return self._columns.push(block[:, None])[:, 0]

    def close(self) -> np.ndarray:
        """The remaining output samples."""
        return self._columns.close()[:, 0]
