"""Batch processing: many recordings, local or in an object store, on one machine or a cluster, each done exactly once.

    inputs    names, folders, patterns, lists, URLs -> the recordings
    outputs   formats and where they are written
    remote    all access to fsspec (``s3://`` and the like); no other module imports it
    work      process one recording with one set of models; the same code in every kind of worker
    dispatch  hands out jobs and bounds the number in progress
    processes, cluster   workers outside this process: local processes, actors of a Ray cluster
    journal   what is done, kept in the output folder to resume a killed run; `ledger` stores its lines
    summary   hours, speed, failures by reason
    run       the main loop

Recordings go in as `Job` and come out as `Report`. Only jobs in progress are held in memory.
"""

from __future__ import annotations
