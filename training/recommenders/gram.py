"""The item-item Gram matrix: how much two items share customers, corrected for how common they are.

    G(i, j) = sum over customers of d_ui d_uj |u|^-2a |i|^-b |j|^-c      d: weight^damping, |.|: sum of d

a = b = c = 0.5 is the first-order filter of GF-CF (Shen et al. 2021). The work is one sparse product: it grows
with the sum over customers of the squared length of their histories, of which no more than `LONGEST` items count.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.interactions import PAIR, Interactions

PAIRS = 80_000_000  # similarities held at most: 640 MB
TINY = 1e-12  # of an item whose baskets do not count, so that nothing is divided by 0
LONGEST = 2500  # items of one customer: who has more is a reseller or a robot, and would cost more than everybody else
BLOCK = 2_000_000  # cells of the Gram matrix computed at once
TOGETHER = 1_000_000  # similarities added up at once: 8 MB, which stay near the core


def normed(
    interactions: Interactions, damping: float, customer_norm: float, item_norm: float, basket: float
) -> sparse.csr_matrix:
    """Customers and baskets x items: d_ui |u|^-customer_norm |i|^-item_norm; a basket counts as `basket` customers."""
    log, damped, counts = _damped(interactions, damping, basket)
    customers = np.bincount(log.customer, damped, minlength=len(log.customers))
    items = common(interactions, damping, basket)
    norms = customers[log.customer] ** customer_norm * items[log.item] ** item_norm
    shape = (len(log.customers), len(log.items))
    return sparse.csr_matrix(((np.sqrt(counts) * damped / norms).astype(np.float32), (log.customer, log.item)), shape)


def common(interactions: Interactions, damping: float, basket: float) -> NDArray[np.float64]:
    """|i|: per item the sum of its damped weights, above 0."""
    log, damped, counts = _damped(interactions, damping, basket)
    return np.maximum(np.bincount(log.item, counts * damped, minlength=len(log.items)), TINY)


def _damped(
    interactions: Interactions, damping: float, basket: float
) -> tuple[Interactions, NDArray[np.float64], NDArray[np.float64]]:
    """The pairs with those of baskets, their damped weights, and as how many customers each counts."""
    log = shortened(interactions.bought_together)
    counts = np.where(log.customer >= len(interactions.customers), basket, 1.0)
    return log, log.weight.astype(np.float64) ** damping, counts


def shortened(log: Interactions) -> Interactions:
    """The log with the `LONGEST` largest weights of each row; ties by item."""
    lengths = np.bincount(log.customer, minlength=len(log.customers))
    if not (lengths > LONGEST).any():
        return log
    order = np.lexsort((log.item, -log.weight, log.customer))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = np.sort(order[rank < LONGEST])
    return replace(log, **{name: getattr(log, name)[kept] for name in PAIR})


def gram(left: sparse.csr_matrix, right: sparse.csr_matrix, neighbours: int, *, own: float) -> sparse.csr_matrix:
    """left' right, computed some rows at a time; the diagonal times `own`.

    Per row the `neighbours` largest values are kept, and fewer of the longest rows where all would be above `PAIRS`.
    """
    transposed = left.T.tocsr()
    matrix = sparse.csr_matrix((0, left.shape[1]), dtype=np.float32)
    blocks: list[sparse.csr_matrix] = []
    for start, stop in pairwise(_cuts(transposed, right)):
        blocks.append(largest((transposed[start:stop] @ right).tocsr(), neighbours))
        if matrix.nnz + sum(block.nnz for block in blocks) > PAIRS:
            matrix = _within(sparse.vstack([matrix, *blocks], format="csr"), PAIRS // 2)
            blocks = []
    matrix = sparse.vstack([matrix, *blocks], format="csr", dtype=np.float32)
    matrix.setdiag(matrix.diagonal() * np.float32(own))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def gram_times(
    left: sparse.csr_matrix, right: sparse.csr_matrix, vectors: NDArray[np.float32], *, own: float
) -> NDArray[np.float32]:
    """left' right, its diagonal times `own`, nothing cut off, times the vectors; the matrix itself is not formed."""
    more = np.asarray(left.multiply(right).sum(axis=0)).ravel() * np.float32(own - 1)
    product: NDArray[np.float32] = left.T @ (right @ vectors) + more[:, None] * vectors
    return product


def _cuts(transposed: sparse.csr_matrix, right: sparse.csr_matrix) -> list[int]:
    """Where runs of rows end whose part of the product has at most about `BLOCK` cells above 0."""
    lengths = np.diff(right.indptr)[transposed.indices]
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[transposed.indptr]
    cells = np.cumsum(np.minimum(np.diff(ends), right.shape[1]))
    inner = np.flatnonzero(np.diff(cells // BLOCK)) + 1
    return [0, *inner.tolist(), len(cells)]


def added(histories: Interactions, matrix: sparse.csr_matrix, scores: NDArray[np.float32]) -> None:
    """Adds to the scores the histories times the matrix.

    A row that holds an item twice is summed where it becomes dense: cheaper than a sparse product with a dense result.
    """
    work = np.append(0, np.cumsum(np.diff(matrix.indptr)[histories.item], dtype=np.int64))[histories.starts]
    inner = np.flatnonzero(np.diff(work[1:] // TOGETHER)) + 1
    for start, stop in pairwise([0, *inner.tolist(), len(scores)]):
        few = work[stop] - work[start] <= 2 * TOGETHER
        rows = histories.between(start, stop)
        scores[start:stop] += (_weighed(rows, matrix) if few else rows.matrix @ matrix).toarray()


def _weighed(histories: Interactions, matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The histories times the matrix, not yet summed: a row holds an item once per item of its history."""
    rows = matrix[histories.item]
    rows.data *= np.repeat(histories.weight, np.diff(rows.indptr))
    shape = (len(histories.customers), matrix.shape[1])
    return sparse.csr_matrix((rows.data, rows.indices, rows.indptr[histories.starts]), shape)


def largest(block: sparse.csr_matrix, kept: int) -> sparse.csr_matrix:
    """The block with the `kept` largest values of each row; ties at the edge by position."""
    long = np.flatnonzero(np.diff(block.indptr) > kept)
    if not len(long):
        return block
    keep = np.ones(block.nnz, dtype=bool)
    for row in long.tolist():
        values = block.data[block.indptr[row] : block.indptr[row + 1]]
        edge = np.partition(values, len(values) - kept)[len(values) - kept]
        chosen = values > edge
        ties = np.flatnonzero(values == edge)
        first = np.argsort(block.indices[block.indptr[row] + ties])[: kept - int(chosen.sum())]
        chosen[ties[first]] = True
        keep[block.indptr[row] : block.indptr[row + 1]] = chosen
    ends = np.concatenate([[0], np.cumsum(keep)])[block.indptr]
    return sparse.csr_matrix((block.data[keep], block.indices[keep], ends), shape=block.shape)


def _within(matrix: sparse.csr_matrix, pairs: int) -> sparse.csr_matrix:
    """The matrix cut to about so many values: its longest rows are cut to one length."""
    lengths = np.sort(np.diff(matrix.indptr))
    rest = len(lengths) - np.arange(len(lengths))
    cut = int(np.searchsorted(np.cumsum(lengths) - lengths + lengths * rest, pairs))
    return largest(matrix, max(1, int(lengths[max(0, cut - 1)])))
