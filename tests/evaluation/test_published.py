"""Published numbers: that they are the published ones, and stand next to ours."""

from dataclasses import replace

import numpy as np
import pytest

from peclr_utils.evaluation import PUBLISHED, ZERO_PREDICTOR, evaluate_keypoints, load_truth, published_table


def hands(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 21, 3)) * 0.05 + [0, 0, 0.7]


def scored(epe_mm: float, auc: float, pa_epe_mm: float, pa_auc: float):
    found = evaluate_keypoints(hands(), hands())
    return replace(found, epe_mm=epe_mm, auc=auc, pa_epe_mm=pa_epe_mm, pa_auc=pa_auc)


def test_without_results_the_table_holds_what_is_published_and_nothing_else():
    assert published_table({}).splitlines() == [
        "| prediction       | numbers   | EPE (cm) |   AUC | aligned EPE (cm) | aligned AUC |",
        "| ---------------- | --------- | -------: | ----: | ---------------: | ----------: |",
        "| PeCLR ResNet-50  | published |     4.71 | 0.357 |             0.71 |       0.860 |",
        "| PeCLR ResNet-152 | published |     4.56 | 0.360 |             0.66 |       0.868 |",
    ]


def test_ours_stand_below_the_published_row_of_the_same_network_in_centimetres():
    table = published_table(
        {"mine": scored(123.4, 0.1, 23.4, 0.5), "rn50": scored(47.26, 0.3561, 7.14, 0.859)}
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [
        ["PeCLR ResNet-50", "published"],
        ["PeCLR ResNet-50", "measured here"],
        ["PeCLR ResNet-152", "published"],
        ["mine", "measured here"],
    ]
    assert rows[1][2:] == ["4.73", "0.356", "0.71", "0.859"]
    assert rows[3][2:] == ["12.34", "0.100", "2.34", "0.500"]


def test_agreement_is_to_the_digits_printed_and_only_where_something_is_published():
    for numbers in ((47.1, 0.357, 7.1, 0.860), (47.149, 0.35749, 7.05, 0.8595)):
        assert PUBLISHED["rn50"].agrees(scored(*numbers))
    for numbers in ((47.16, 0.357, 7.1, 0.860), (47.1, 0.3576, 7.1, 0.860), (47.1, 0.357, 7.1, 0.861)):
        assert not PUBLISHED["rn50"].agrees(scored(*numbers))
    assert ZERO_PREDICTOR.agrees(scored(707.94, 0.9, 47.26, 0.1))
    assert not ZERO_PREDICTOR.agrees(scored(707.94, 0.9, 48.7, 0.1))


def test_the_zero_predictor_scores_what_is_published_on_freihand_itself(repository):
    found = sorted((repository / "data/raw").glob("*/evaluation_xyz.json"))
    if not found:
        pytest.skip("FreiHAND's evaluation labels aren't in data/raw")
    gt = load_truth(found[0])
    assert ZERO_PREDICTOR.agrees(evaluate_keypoints(np.zeros_like(gt), gt))
