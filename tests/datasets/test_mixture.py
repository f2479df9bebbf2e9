import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peclr_utils.datasets import EvenMixture, Subset, even_indices


@pytest.fixture
def mixture(memory_hands):
    return EvenMixture([memory_hands(2), memory_hands(3, versions=2), memory_hands(30)])


def test_samples_are_those_of_the_sources_one_after_another(mixture):
    assert len(mixture) == 2 + 6 + 30
    assert mixture.source_of(np.arange(len(mixture))).tolist() == [0] * 2 + [1] * 6 + [2] * 30
    assert [mixture.source_of(index) for index in (0, 1, 2, 7, 8, 37)] == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(mixture[5].image, mixture.datasets[1][3].image)
    np.testing.assert_array_equal(mixture[-1].image, mixture.datasets[2][29].image)


def test_identities_are_unique_to_a_source_and_kept_within(mixture):
    identities = mixture.identities
    assert len(np.unique(identities)) == 2 + 3 + 30
    np.testing.assert_array_equal(identities[2:5], identities[5:8])
    assert [mixture[index].identity for index in range(len(mixture))] == identities.tolist()


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    count=st.integers(0, 60),
    seed=st.integers(0, 99),
)
def test_draws_are_even_in_every_group_and_within_every_source(sizes, count, seed):
    sources = np.repeat(np.arange(len(sizes)), sizes)
    drawn = even_indices(sources, np.random.default_rng(seed), count)
    assert drawn.shape == (count,)
    of = sources[drawn]
    for start in range(0, count, len(sizes)):
        group = of[start : start + len(sizes)]
        assert len(set(group)) == len(group)
    for source, size in enumerate(sizes):
        mine = drawn[of == source]
        for start in range(0, len(mine), size):
            one_pass = mine[start : start + size]
            assert len(set(one_pass)) == len(one_pass)  # without replacement until exhausted


def test_draws_are_shuffled_and_follow_the_generator(mixture):
    first = mixture.even_indices(np.random.default_rng(3), 60)
    np.testing.assert_array_equal(first, mixture.even_indices(np.random.default_rng(3), 60))
    assert not np.array_equal(first, mixture.even_indices(np.random.default_rng(4), 60))
    largest = first[mixture.source_of(first) == 2]
    assert not np.array_equal(largest, np.sort(largest))
    groups = mixture.source_of(first).reshape(-1, 3)
    assert len({tuple(group) for group in groups}) > 3  # the sources take turns in random order


def test_sources_of_one_kind_and_subsets_keep_names_and_identities_of_their_own(memory_hands):
    hands = memory_hands(5)
    mixture = EvenMixture([hands, Subset(hands, [4, 1]), memory_hands(2)])
    assert mixture.source == "memory + memory 2 + memory 3"
    names = [mixture[index].source for index in range(len(mixture))]
    assert names == ["memory"] * 5 + ["memory 2"] * 2 + ["memory 3"] * 2
    np.testing.assert_array_equal(mixture[5].image, hands[4].image)
    assert len(np.unique(mixture.identities)) == 9
    for datasets in ([], [hands, memory_hands(0)]):
        with pytest.raises(ValueError, match="expected data sets that are not empty, found lengths"):
            EvenMixture(datasets)


def test_a_subset_is_chosen_by_positions_or_by_a_mask(memory_hands):
    hands = memory_hands(4)
    assert Subset(hands, [3, 1]).identities.tolist() == [3, 1]
    assert Subset(hands, np.array([True, False, True, False])).indices.tolist() == [0, 2]
    assert len(Subset(hands, [])) == 0
    for wrong in ([True, False, True], [1.7], [4]):
        with pytest.raises(IndexError):
            Subset(hands, wrong)
