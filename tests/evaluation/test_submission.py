"""FreiHAND's submission file: written in the official shape, read, scored, and refused with the reason."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from peclr_utils.evaluation import evaluate_keypoints, read_submission, write_submission
from peclr_utils.evaluation.__main__ import main

GT = np.random.default_rng(0).normal(size=(3, 21, 3)) * 0.05 + [0, 0, 0.7]
PRED = GT + np.random.default_rng(1).normal(size=GT.shape) * 0.01
MESHES = [[[0.0] * 3] * 778] * 3


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "evaluation_xyz.json"
    path.write_text(json.dumps(GT.tolist()))
    return path


def test_the_file_is_a_list_of_keypoints_and_a_list_of_vertices(tmp_path):
    path = write_submission(tmp_path / "new" / "folder", PRED)
    assert path == tmp_path / "new/folder/pred.json"
    assert json.loads(path.read_text()) == [PRED.tolist(), MESHES]
    named = write_submission(tmp_path / "rn50.json", torch.tensor(PRED, requires_grad=True))
    assert named == tmp_path / "rn50.json" and named.read_bytes() == path.read_bytes()


@given(scale=st.sampled_from([1e-300, 1e-9, 1e-3, 0.1]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_float64_reads_back_exactly(tmp_path_factory, scale, seed):
    xyz = np.random.default_rng(seed).normal(size=(2, 21, 3)) * scale
    folder = write_submission(tmp_path_factory.mktemp("exact"), xyz).parent
    np.testing.assert_array_equal(read_submission(folder), xyz)


@pytest.mark.parametrize(
    "xyz", [PRED[0], PRED[:0], PRED[..., :2], np.where(PRED == PRED[1, 2, 0], np.nan, PRED)]
)
def test_what_the_evaluator_would_not_take_is_not_written(tmp_path, xyz):
    with pytest.raises(ValueError, match="xyz: "):
        write_submission(tmp_path / "out", xyz)
    assert not (tmp_path / "out").exists()


def with_value(value):
    hands = PRED.tolist()
    hands[1][4][1] = value
    return [hands, MESHES]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([PRED.tolist()], "not enough values to unpack"),
        ([MESHES, PRED.tolist()], r"xyz: expected shape \(N, 21, 3\) with N > 0, found \(3, 778, 3\)"),
        (with_value(float("nan")), r"1 of 189 values are NaN or infinite, the first at index \[1, 4, 1\]"),
        (with_value("x"), "xyz: expected an array"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_reason(tmp_path, content, words):
    path = tmp_path / "pred.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"pred.json: expected the JSON list \[xyz, verts\]: .*{words}"):
        read_submission(path)


def test_the_command_prints_the_score_beside_the_published_numbers(tmp_path, truth, capsys):
    write_submission(tmp_path / "sent", PRED)
    assert main([str(tmp_path / "sent"), str(tmp_path), "--name", "rn50"]) == 0
    out = capsys.readouterr().out
    expected = evaluate_keypoints(PRED, GT)
    assert f"{expected.epe_mm / 10:.2f}" in out and f"{expected.pa_auc:.3f}" in out
    assert "4.71" in out and "0.868" in out
    assert "Published numbers are over 3,960 hands, these are 3: another set." in out


def test_the_command_scores_the_zero_predictor_and_notices_other_labels(truth, capsys):
    assert main(["zeros", str(truth)]) == 0
    assert "70.79" in capsys.readouterr().out
    truth.write_text(json.dumps(np.tile(GT, (1320, 1, 1)).round(3).tolist()))
    assert main(["zeros", str(truth)]) == 1
    assert "NOT met" in capsys.readouterr().out


def test_the_command_says_what_is_wrong_without_a_traceback(tmp_path, truth, capsys):
    assert main([str(tmp_path / "nowhere.json"), str(truth)]) == 1
    assert "nowhere.json: there is no such file" in capsys.readouterr().err
