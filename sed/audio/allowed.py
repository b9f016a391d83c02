"""What ffmpeg and ffprobe may open: a single local file that contains audio, and no file that it refers to.

ffmpeg detects the format from the content. Some formats it detects are not recordings but reference others: playlists
(HLS, DASH, IMF, concat, SDP), image sequences, filter scripts. Whoever sent such a file would receive the contents of
any file that this process can read. `CONTAINERS` lists the demuxers that read their audio from the file itself; ffmpeg
refuses all others before reading.
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
"""Demuxer names of ffmpeg 4 to 8; a version ignores the names it does not know."""


def input_restrictions(container: str = "") -> list[str]:
    """Input options for ffmpeg or ffprobe; the file (`file_url`) comes after them.

    `container` is ffprobe's ``format_name``, if known. Only local files in one of the `CONTAINERS` can be opened, and
    external tracks of an MP4 are not read, which is ffmpeg's default.
    """
    options = ["-v", "error", "-protocol_whitelist", "file", "-format_whitelist", ",".join(CONTAINERS)]
    if "mov" in container.split(","):  # other demuxers do not have these options
        options += ["-enable_drefs", "0", "-use_absolute_path", "0"]
    return options


def file_url(path: str) -> str:
    """The path as ffmpeg's ``file:`` URL, so that a colon in the name is not taken for a protocol.

    >>> file_url("a:b.wav")
    'file:a:b.wav'
    """
    return f"file:{path}"
