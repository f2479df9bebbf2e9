"""FreiHAND's submission file: written in the official shape, scored, and refused with the reason."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from peclr_utils.evaluation import (
    evaluate_keypoints,
    load_submission,
    load_truth,
    read_submission,
    write_submission,
)
from peclr_utils.evaluation.__main__ import main

COUNT = 3
GT = np.random.default_rng(0).normal(size=(COUNT, 21, 3)) * 0.05 + [0, 0, 0.7]
PRED = GT + np.random.default_rng(1).normal(size=GT.shape) * 0.01
MESH = [[0.0] * 3] * 778


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "evaluation_xyz.json"
    path.write_text(json.dumps(GT.tolist()))
    return path


def written(folder, content) -> str:
    path = folder / "submitted.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def as_official(xyz) -> list:
    return [np.asarray(xyz).tolist(), [MESH] * len(xyz)]


# Writing


def test_the_file_is_a_list_of_keypoints_and_a_list_of_vertices_and_the_zip_holds_the_same(tmp_path):
    path = write_submission(tmp_path, PRED)
    assert path == tmp_path / "pred.json"
    content = json.loads(path.read_text())
    assert len(content) == 2
    assert [np.shape(part) for part in content] == [(COUNT, 21, 3), (COUNT, 778, 3)]
    np.testing.assert_array_equal(content[0], PRED)
    assert not np.any(content[1])
    with zipfile.ZipFile(tmp_path / "pred.zip") as archive:
        assert archive.namelist() == ["pred.json"]
        assert archive.read("pred.json") == path.read_bytes()


def test_vertices_are_written_when_there_are_some(tmp_path):
    verts = np.random.default_rng(2).normal(size=(COUNT, 778, 3)).astype(np.float32)
    content = json.loads(write_submission(tmp_path / "pred.json", PRED, verts).read_text())
    np.testing.assert_array_equal(content[1], verts.astype(np.float64))


@pytest.mark.parametrize("name", ["new/folder", "rn50.json", "rn50.zip"])
def test_the_path_names_a_folder_or_both_files_and_missing_folders_are_made(tmp_path, name):
    path = write_submission(tmp_path / "runs" / name, PRED)
    folder, stem = (
        (tmp_path / "runs/new/folder", "pred") if name == "new/folder" else (tmp_path / "runs", "rn50")
    )
    assert path == folder / f"{stem}.json"
    assert sorted(file.name for file in folder.iterdir()) == [f"{stem}.json", f"{stem}.zip"]
    with zipfile.ZipFile(folder / f"{stem}.zip") as archive:
        assert archive.namelist() == ["pred.json"]


@given(
    scale=st.sampled_from([1e-300, 1e-9, 1e-3, 0.1]), seed=st.integers(0, 2**32 - 1), count=st.integers(1, 3)
)
@settings(max_examples=15, deadline=None)
def test_float64_reads_back_exactly(tmp_path_factory, scale, seed, count):
    xyz = np.random.default_rng(seed).normal(size=(count, 21, 3)) * scale
    path = write_submission(tmp_path_factory.mktemp("exact"), xyz)
    np.testing.assert_array_equal(load_submission(path), xyz)


def test_tensors_are_written_too(tmp_path):
    tensor = torch.tensor(PRED, dtype=torch.float32, requires_grad=True)
    np.testing.assert_array_equal(
        load_submission(write_submission(tmp_path, tensor)), PRED.astype(np.float32).astype(np.float64)
    )


def test_a_failure_leaves_the_old_files_whole_and_nothing_else(tmp_path, monkeypatch):
    write_submission(tmp_path, PRED)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(OSError, match="no space left"):
        write_submission(tmp_path, PRED * 0.5)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("xyz", "verts", "words"),
    [
        (PRED[0], None, r"xyz: expected shape \(N, 21, 3\), found \(21, 3\)"),
        (PRED[:0], None, r"found \(0, 21, 3\)"),
        (PRED[..., :2], None, r"found \(3, 21, 2\)"),
        (np.where(PRED == PRED[1, 2, 0], np.nan, PRED), None, r"xyz: 1 of 189 values.*\[1, 2, 0\]"),
        (PRED * 1000, None, "xyz doesn't look like metres.*may be millimetres"),
        (PRED, np.zeros((COUNT, 777, 3)), r"verts: expected shape \(3, 778, 3\), found \(3, 777, 3\)"),
        (PRED, np.zeros((2, 778, 3)), r"found \(2, 778, 3\)"),
        (PRED, np.full((COUNT, 778, 3), np.inf), "verts: .* NaN or infinite"),
    ],
)
def test_what_the_evaluator_would_not_take_is_not_written(tmp_path, xyz, verts, words):
    with pytest.raises(ValueError, match=words):
        write_submission(tmp_path / "out", xyz, verts)
    assert not (tmp_path / "out").exists()


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match="ends with .json or .zip"):
        write_submission(tmp_path / "pred.npy", PRED)


def test_far_too_large_hands_can_be_written_and_scored_on_request(tmp_path, truth):
    path = write_submission(tmp_path, PRED * 1000, check_units=False)
    assert read_submission(path, truth, check_units=False).epe_mm > 100_000


# Scoring


@pytest.mark.parametrize("name", ["pred.json", "pred.zip", "."])
def test_a_submission_scores_what_its_keypoints_score(tmp_path, truth, name):
    folder = tmp_path / "submission"
    write_submission(folder, PRED)
    found, expected = read_submission(folder / name, truth), evaluate_keypoints(PRED, GT)
    for measure in ("epe_mm", "pa_epe_mm", "auc", "pa_auc"):
        assert getattr(found, measure) == getattr(expected, measure)
    proper = read_submission(folder / name, truth, proper_rotation=True)
    assert proper.proper_rotation


def test_the_truth_is_a_file_a_folder_or_an_array(tmp_path, truth):
    for given_truth in (truth, str(truth), tmp_path, GT, torch.tensor(GT)):
        np.testing.assert_array_equal(load_truth(given_truth), GT)


def test_a_file_written_by_the_official_script_is_read(tmp_path, truth):
    path = written(tmp_path, as_official(np.zeros_like(GT)))
    assert read_submission(path, truth).epe_mm == pytest.approx(1000 * np.linalg.norm(GT, axis=-1).mean())


def test_a_zip_packed_on_a_mac_or_in_a_folder_is_read(tmp_path, truth):
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("mine/pred.json", json.dumps(as_official(PRED)))
        archive.writestr("__MACOSX/mine/._pred.json", b"\0\0")
    assert read_submission(tmp_path / "packed.zip", truth).epe_mm == evaluate_keypoints(PRED, GT).epe_mm


# What is wrong, and where


def changed(part: int, hand: int, entry) -> list:
    content = as_official(PRED)
    content[part] = [entry if k == hand else other for k, other in enumerate(content[part])]
    return content


def with_value(value) -> list:
    hand = PRED[1].tolist()
    hand[4] = [hand[4][0], value, hand[4][2]]
    return changed(0, 1, hand)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[[[0.1, 0.2", "not valid JSON.*cut short"),
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        (
            {"xyz": [], "verts": []},
            r"two lists, \[xyz, verts\], found an object with the keys \['xyz', 'verts'\]",
        ),
        (PRED.tolist(), r"found a list of 3; put the list of vertices beside it"),
        ([], "found a list of 0"),
        ([PRED.tolist(), None], "verts: expected a list with one entry a hand, found null"),
        ([[], []], "xyz: expected a list with one entry a hand, found an empty list"),
        (as_official(PRED)[::-1], r"found \[verts, xyz\]; exchange the two"),
        (as_official(PRED[:2]), "xyz: wrong number of hands: expected 3, .* found 2; predict every picture"),
        (as_official(np.tile(PRED, (4, 1, 1))), "expected 3, .* found 12"),
        ([PRED.tolist(), [MESH] * 2], "verts: wrong number of hands: expected 3, .* found 2"),
        (
            changed(0, 2, PRED[2, :20].tolist()),
            r"xyz: hand 2: expected numbers of shape \(21, 3\), found \(20, 3\)",
        ),
        (as_official(PRED.reshape(COUNT, 63)), r"xyz: hand 0: .*found \(63,\)"),
        (as_official(PRED[:, None]), r"xyz: hand 0: .*found \(1, 21, 3\)"),
        (
            changed(1, 1, [[0, 0, 0]] * 10),
            r"verts: hand 1: expected numbers of shape \(778, 3\), found \(10, 3\)",
        ),
        (changed(0, 1, None), "xyz: hand 1: .*found null"),
        (changed(0, 1, {"x": 0}), "xyz: hand 1: .*found an object"),
        (with_value(float("nan")), "xyz: hand 1, row 4: expected metres, found NaN"),
        (with_value(float("-inf")), "xyz: hand 1, row 4"),
        (with_value(None), "xyz: hand 1"),
        (with_value("0.7"), "xyz: hand 1"),
        (with_value([0.7]), "xyz: hand 1"),
        (with_value(10**400), "xyz: hand 1"),
        (as_official(PRED * 1000), "pred doesn't look like metres.*may be millimetres.*/ 1000"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_the_reason(tmp_path, truth, content, words):
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=words) as refused:
        read_submission(path, truth)
    assert str(refused.value).startswith(path)


def test_without_labels_the_two_lists_must_fit_each_other(tmp_path):
    with pytest.raises(
        ValueError, match="verts: wrong number of hands: expected 3, as many as xyz has, found 2"
    ):
        load_submission(written(tmp_path, [PRED.tolist(), [MESH] * 2]))


def test_missing_and_damaged_files_are_told_apart(tmp_path, truth):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4 and no end")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "no predictions")
    for name, kind, words in (
        ("nowhere.json", FileNotFoundError, "nowhere.json: there is no such file"),
        ("empty", FileNotFoundError, "expected pred.json in this folder, found none"),
        ("cut.zip", ValueError, "not a zip, or cut short"),
        ("other.zip", ValueError, "expected one pred.json in the zip, found .*readme.txt"),
    ):
        with pytest.raises(kind, match=words):
            read_submission(tmp_path / name, truth)


def test_a_damaged_member_of_a_zip_is_named(tmp_path, truth):
    write_submission(tmp_path / "sent", PRED)
    damaged = bytearray((tmp_path / "sent/pred.zip").read_bytes())
    damaged[200:220] = bytes(20)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(ValueError, match="damaged.zip: damaged"):
        read_submission(tmp_path / "damaged.zip", truth)


def test_a_folder_with_several_files_asks_which(tmp_path, truth):
    for name in ("a.json", "b.json"):
        (tmp_path / "sent").mkdir(exist_ok=True)
        (tmp_path / "sent" / name).write_text("[]")
    with pytest.raises(FileNotFoundError, match=r"found a.json, b.json; name the file"):
        read_submission(tmp_path / "sent", truth)


def test_labels_that_are_missing_damaged_or_in_millimetres_are_named(tmp_path):
    path = write_submission(tmp_path / "sent", PRED)
    (tmp_path / "evaluation_K.json").write_text("[]")
    with pytest.raises(FileNotFoundError, match=r"evaluation_xyz.json: .*archive of their own"):
        read_submission(path, tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_submission(path, tmp_path / "nowhere")
    labels = tmp_path / "evaluation_xyz.json"
    labels.write_text(json.dumps(GT[:, :20].tolist()))
    with pytest.raises(ValueError, match=r"evaluation_xyz.json: entry 0: expected shape \(21, 3\)"):
        read_submission(path, labels)
    labels.write_text(json.dumps((GT * 1000).tolist()))
    with pytest.raises(ValueError, match="evaluation_xyz.json doesn't look like metres.*may be millimetres"):
        read_submission(path, labels)
    with pytest.raises(ValueError, match=r"truth: expected shape \(N, 21, 3\), found \(21, 3\)"):
        read_submission(path, GT[0])


# From the command line


def test_the_command_prints_the_score_beside_the_published_numbers(tmp_path, truth, capsys):
    write_submission(tmp_path / "sent", PRED)
    assert main([str(tmp_path / "sent"), str(tmp_path), "--name", "rn50"]) == 0
    out = capsys.readouterr().out
    expected = evaluate_keypoints(PRED, GT)
    assert f"{expected.epe_mm / 10:.2f}" in out and f"{expected.pa_auc:.3f}" in out
    assert "4.71" in out and "0.868" in out
    assert "Published numbers are over 3,960 hands, these are 3: another set." in out


def test_the_command_scores_the_zero_predictor(truth, capsys):
    assert main(["zeros", str(truth)]) == 0
    assert "70.79" in capsys.readouterr().out


def test_labels_that_are_not_freihands_fail_the_check_by_zeros(tmp_path, capsys):
    path = tmp_path / "evaluation_xyz.json"
    path.write_text(json.dumps(np.tile(GT, (1320, 1, 1)).round(3).tolist()))
    assert main(["zeros", str(path)]) == 1
    assert "NOT met" in capsys.readouterr().out


def test_the_command_runs_and_says_what_is_wrong_without_a_traceback(tmp_path, truth):
    command = [sys.executable, "-m", "peclr_utils.evaluation", str(tmp_path / "nowhere.json"), str(truth)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("there is no such file; write_submission makes one\n")
    assert "Traceback" not in done.stderr
