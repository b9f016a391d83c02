"""What ffmpeg and ffprobe may open: one file with sound in it, and nothing that this file names.

ffmpeg recognises a file by its content. Some of what it recognises is no recording but a list of others: playlists
(HLS, DASH, IMF, concat, SDP), patterns of images, scripts of filters. Whoever sends such a file would get what this
process may read. `CONTAINERS` are the demuxers that read their sound from the file itself; others are refused
by ffmpeg before they read.
"""

from __future__ import annotations

CONTAINERS = tuple(
    """
    mov mp4 m4a 3gp 3g2 mj2 matroska webm avi asf asf_o flv live_flv kux mpegts mpeg wtv dv mxf gxf nut nuv rm ivr ogg
    pva ty nsv swf
    wav w64 aiff au caf voc ircam nistsphere avr pvf wve sds svx iff sox dsf wsd epaf xwma
    mp3 aac loas flac tta wv ape tak shn mpc mpc8 ac3 eac3 dts dtshd truehd mlp spdif s337m daud oma aea vqf mmf aa
    amr amrnb amrwb gsm g722 g723_1 g726 g726le g729 bit act ilbc codec2 qcp dss sbc aptx aptx_hd alaw mulaw sln hcom
    iamf lc3 qoa osq bonk rka laf apac
    """.split()
)
"""Demuxers by the names of ffmpeg 4 to 8; a version passes over those that it does not know."""


def only_this(container: str = "") -> list[str]:
    """The options with which ffmpeg or ffprobe opens a file; its name (`name_of`) comes after them.

    `container` is ffprobe's ``format_name``, where it is known. Only local files can be opened, only as one of
    `CONTAINERS`, and an MP4 whose tracks are in other files is read without them, which is ffmpeg's default.
    """
    options = ["-v", "error", "-protocol_whitelist", "file", "-format_whitelist", ",".join(CONTAINERS)]
    if "mov" in container.split(","):  # the others do not know these options
        options += ["-enable_drefs", "0", "-use_absolute_path", "0"]
    return options


def name_of(path: str) -> str:
    """How a file is named to ffmpeg: a name with a colon is a file all the same.

    >>> name_of("a:b.wav")
    'file:a:b.wav'
    """
    return f"file:{path}"
