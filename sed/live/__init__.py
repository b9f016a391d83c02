"""Live: a microphone (or a file that plays) in; segments, a recording and a timeline on the terminal out.

The way of the sound: a source puts blocks into a bounded queue; a thread records them, measures their level
and passes them on; a second thread resamples them to 16 kHz and runs the `StreamingDiarizer`. Every wait is
for an event, so nothing spins. What cannot be kept up with is left out in one piece, counted and reported.
"""

from sed.live.devices import Device, find_device, list_devices
from sed.live.microphone import Microphone
from sed.live.session import LiveSession

__all__ = ["Device", "LiveSession", "Microphone", "find_device", "list_devices"]
