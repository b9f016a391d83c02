"""Archives: many recordings, on one machine or many, local or in an object store, each done exactly once.

    inputs    names, folders, patterns, lists, URLs -> which recordings
    outputs   which formats go where
    remote    everything that fsspec does (``s3://`` and the like), and nothing else imports it
    work      one recording with one set of models: the same code whoever runs it
    dispatch  which recording is next; bounds how many are under way
    processes, cluster   who works if not this process: processes of this machine, actors of a Ray cluster
    journal   what is done, in the output folder, so that a run that was killed goes on; `ledger` keeps its lines
    summary   hours, speed, failures with their reasons
    run       all of it together

Recordings go in as `Job`, come out as `Report`; only those under way are held, so memory does not grow with
results.
"""

from __future__ import annotations
