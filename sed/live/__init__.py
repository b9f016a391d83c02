"""Live diarization: a microphone (or a file played in real time) in; segments, a recording and a timeline out.

Data flow: a source puts blocks into a bounded queue; a thread records them, measures their level and forwards them; a
second thread resamples them to 16 kHz and runs the `StreamingDiarizer`. All waits are event-driven, without polling.
Audio that cannot be processed in time is dropped as one contiguous gap, counted and reported.
"""

from sed.live.devices import Device, find_device, list_devices
from sed.live.microphone import Microphone
from sed.live.session import LiveSession

__all__ = ["Device", "LiveSession", "Microphone", "find_device", "list_devices"]
