"""Two exact matchings in plain Python: of maximum weight, and of maximum size.

They replace scipy for the joint error and DER: recordings have few speakers, and events few neighbours within a
collar.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np


def best_pairs(weights: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row, column), each row and column used at most once, of maximum total weight.

    `weights` is ``(rows, columns)``, 0 or more; pairs of weight 0 are omitted. The Hungarian algorithm with
    potentials, O(rows² columns).

    >>> best_pairs(np.array([[3., 2.], [2., 0.]]))
    [(0, 1), (1, 0)]
    """
    weights = np.asarray(weights, np.float64)
    if weights.shape[0] > weights.shape[1]:
        return sorted((row, column) for column, row in best_pairs(weights.T))
    rows, columns = weights.shape
    cost = -weights
    row_potential, column_potential = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.full(columns + 1, rows)  # row of each column; `rows` means none, column `columns` is the root
    for row in range(rows):
        owner[columns] = row
        column, slack = columns, np.full(columns, np.inf)
        previous, visited = np.full(columns, columns), np.zeros(columns + 1, bool)
        while True:
            visited[column] = True
            current = owner[column]
            reduced = cost[current] - row_potential[current] - column_potential[:columns]
            nearer = ~visited[:columns] & (reduced < slack)
            slack[nearer], previous[nearer] = reduced[nearer], column
            nearest = int(np.argmin(np.where(visited[:columns], np.inf, slack)))
            step = slack[nearest]
            row_potential[owner[visited]] += step
            column_potential[visited] -= step
            slack[~visited[:columns]] -= step
            column = nearest
            if owner[column] == rows:
                break
        while column != columns:  # flip the augmenting path
            owner[column] = owner[previous[column]]
            column = int(previous[column])
    pairs = ((int(owner[column]), column) for column in range(columns) if owner[column] < rows)
    return sorted((row, column) for row, column in pairs if weights[row, column] > 0)


def most_pairs(candidates: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """A largest set of pairs left -> right, each used at most once, from the `candidates` of each left.

    Augmenting paths, searched breadth first to avoid recursion.

    >>> most_pairs({0: [0], 1: [0, 1]})
    {0: 0, 1: 1}
    """
    left_of: dict[int, int] = {}
    right_of: dict[int, int] = {}
    for root in candidates:
        previous: dict[int, int] = {}  # right -> the left from which it was reached
        queue, free = deque([root]), None
        while queue and free is None:
            left = queue.popleft()
            for right in candidates[left]:
                if right in previous:
                    continue
                previous[right] = left
                if right not in left_of:
                    free = right
                    break
                queue.append(left_of[right])
        while free is not None:  # flip the path from its free end to the root
            left = previous[free]
            left_of[free], right_of[left], free = left, free, right_of.get(left)
    return dict(sorted(right_of.items()))
