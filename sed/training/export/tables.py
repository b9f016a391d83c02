"""Smaller ONNX files: the Fourier basis of a log-mel front end as a table of one period instead of a matrix.

In and out: ONNX graphs. A basis of 201 cosines and 201 sines of 400 samples takes 640 KB, more than a small tagger has
weights, though its values are one window times 400 different cosines. The graph then indexes the table, which the
runtime does once, when it opens the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_ERROR = 1e-6  # of a value of the basis after the replacement


def tabulate_fourier_bases(graph: Any) -> int:
    """Replace the windowed Fourier bases among the initialisers of the ONNX `graph` (in place); returns how many.

    A basis is ``(2 * bins, 1, n)`` float32: `bins` cosines before as many sines, of frequencies 0, 1, ... per `n`
    samples, all times one window. Others, such as bases with further linear steps in them, stay as they are.
    """
    from onnx import numpy_helper

    bases = {}
    for tensor in graph.initializer:
        if len(tensor.dims) == 3 and tensor.dims[1] == 1 and tensor.dims[0] % 2 == 0:
            values = numpy_helper.to_array(tensor)
            if values.dtype == np.float32 and _window(values) is not None:
                bases[tensor.name] = values
    kept = [tensor for tensor in graph.initializer if tensor.name not in bases]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [node for name, values in bases.items() for node in _nodes(graph, name, values)]
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *others])
    return len(bases)


def _phases(bins: int, size: int) -> np.ndarray:
    """Index ``(2 * bins, size)`` of each value's cosine in a table of `size`: a sine is a cosine a quarter later."""
    products = np.outer(np.arange(bins), np.arange(size))
    return np.concatenate([products, products - size // 4]) % size


def _table(size: int) -> np.ndarray:
    return np.cos(2 * np.pi * np.arange(size) / size).astype(np.float32)


def _window(basis: np.ndarray) -> np.ndarray | None:
    """The window ``(n,)`` of a basis, None if `basis` is not one."""
    rows, _, size = basis.shape
    if size % 4 or not rows // 2 <= size // 2 + 1:
        return None
    window = basis[0, 0]
    rebuilt = _table(size)[_phases(rows // 2, size)] * window
    return window if np.abs(rebuilt - basis[:, 0]).max() <= MAX_ERROR else None


def _nodes(graph: Any, name: str, basis: np.ndarray) -> list[Any]:
    """Nodes that compute the basis `name`, with their constants added to the initialisers of `graph`."""
    from onnx import helper, numpy_helper

    rows, _, size = basis.shape
    shifts = np.repeat([0, size - size // 4], rows // 2)
    constants = {
        "table": _table(size),
        "window": basis[0, 0],
        "frequency": np.tile(np.arange(rows // 2), 2)[:, None],
        "place": np.arange(size)[None],
        "shift": shifts[:, None],
        "size": np.array(size),
        "axis": np.array([1]),
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(value), f"{name}.{key}")
        for key, value in constants.items()
    )
    steps = [
        ("Mul", ["frequency", "place"], "product"),
        ("Add", ["product", "shift"], "shifted"),
        ("Mod", ["shifted", "size"], "phase"),
        ("Gather", ["table", "phase"], "waves"),
        ("Mul", ["waves", "window"], "windowed"),
        ("Unsqueeze", ["windowed", "axis"], ""),
    ]
    return [
        helper.make_node(kind, [f"{name}.{i}" for i in inputs], [f"{name}.{output}" if output else name])
        for kind, inputs, output in steps
    ]
