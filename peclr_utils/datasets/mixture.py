"""Several data sets as one, drawn from evenly.

PeCLR pre-trains on FreiHAND and YouTube3DHands together. Chapter 01 draws from several sources evenly.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from peclr_utils.datasets.sample import HandDataset, HandSample


class EvenMixture:
    """Data sets one after another, and a way to draw from each of them equally often.

    Their identities are made unique, and so are their names: a second source "folder" becomes "folder 2".

    Args:
        datasets: the sources; at least one, none of them empty.

    Attributes:
        datasets: the sources.
        starts: (S + 1,) int64, where each source begins, and the total length.

    Raises:
        ValueError: if there is no source or one is empty.
    """

    def __init__(self, datasets: Sequence[HandDataset]):
        self.datasets = list(datasets)
        lengths = [len(dataset) for dataset in self.datasets]
        if not lengths or not all(lengths):
            raise ValueError(f"EvenMixture: expected data sets that are not empty, found lengths {lengths}")
        self.starts = np.cumsum([0, *lengths])
        names = [dataset.source for dataset in self.datasets]
        counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
        self._names = [f"{name} {k}" if k > 1 else name for name, k in zip(names, counts, strict=True)]
        self.source = " + ".join(self._names)
        self._shifts: list[int] = []  # added to a source's identities, so that no two sources share one
        next_identity = 0
        for identities in (dataset.identities for dataset in self.datasets):
            self._shifts.append(next_identity - int(identities.min()))
            next_identity += int(identities.max()) - int(identities.min()) + 1

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def identities(self) -> np.ndarray:
        shifted = zip(self.datasets, self._shifts, strict=True)
        return np.concatenate([dataset.identities + shift for dataset, shift in shifted])

    def source_of(self, index: int | np.ndarray) -> int | np.ndarray:
        """Position in `datasets` of the source of one sample, or of an array of them."""
        source = np.searchsorted(self.starts, index, side="right") - 1
        return int(source) if np.ndim(index) == 0 else source

    def __getitem__(self, index: int) -> HandSample:
        index = range(len(self))[index]
        source = self.source_of(index)
        sample = self.datasets[source][index - int(self.starts[source])]
        return replace(sample, identity=sample.identity + self._shifts[source], source=self._names[source])

    def even_indices(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw samples so that every source comes equally often; see the function `even_indices`."""
        return even_indices(self.source_of(np.arange(len(self))), rng, count)


def even_indices(sources: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw samples so that every source comes equally often, however large it is.

    The draws come in groups of S, the number of sources; each group holds every source once, in random order.
    A source is drawn without replacement until it is exhausted, then from the start again: a small source's
    samples come several times in an epoch, and their counts differ by at most one.

    Args:
        sources: (N,) which source each sample is of; any integers.
        rng: where the randomness comes from.
        count: how many to draw.

    Returns:
        (count,) int64 positions in `sources`.
    """
    members = [np.flatnonzero(sources == source) for source in np.unique(sources)]
    groups = -(-count // len(members))
    order = rng.permuted(np.tile(np.arange(len(members)), (groups, 1)), axis=1).ravel()[:count]
    drawn = np.empty(count, np.int64)
    for source, indices in enumerate(members):
        places = np.flatnonzero(order == source)
        passes = -(-len(places) // len(indices))
        stream = [rng.permutation(indices) for _ in range(passes)]
        drawn[places] = np.concatenate([*stream, indices[:0]])[: len(places)]
    return drawn
