import json
import os

import numpy as np
import pytest

from peclr_utils.course import artefacts, labelled_hands
from peclr_utils.course.artefacts import (
    committed_table,
    find_encoder,
    find_finetuned,
    make_cell,
    predict_finetuned,
    resume_if_same,
    write_results,
)
from peclr_utils.course.labelled_hands import held_out_crops
from peclr_utils.evaluation import evaluate_keypoints
from peclr_utils.models import ContrastiveModel
from peclr_utils.training import FinetuneConfig, load_results, summarise
from peclr_utils.training.label_fractions import PRETRAINED
from peclr_utils.weights import load_encoder, save_checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder in which no earlier chapter was run, with tiny stand-ins made."""
    patch = pytest.MonkeyPatch()
    for name, value in {"SMALL_HANDS": 8, "SMALL_LABELS": 4, "SMALL_STEPS": 3}.items():
        patch.setattr(artefacts, name, value)
    patch.setattr(labelled_hands, "POOL", 8)
    folder = tmp_path_factory.mktemp("run")
    yield folder, find_finetuned(folder, image_size=32)
    patch.undo()


def test_a_missing_encoder_is_made_small_and_that_is_said(run):
    folder, _ = run
    encoder = find_encoder(folder, "peclr", "resnet18", 32)
    assert encoder.small
    assert "small" in encoder.note
    assert load_encoder(encoder.path, "resnet18")


def test_a_small_encoder_is_made_once(run, monkeypatch):
    folder, _ = run
    before = find_encoder(folder, "peclr", "resnet18", 32).path.stat().st_mtime_ns
    assert find_encoder(folder, "peclr", "resnet18", 32).path.stat().st_mtime_ns == before


def test_stand_ins_leave_the_folders_of_the_chapters_alone(run):
    folder, networks = run
    assert {path.name for path in folder.iterdir()} == {"small", "cache"}
    assert networks.small
    assert networks.folder.is_relative_to(folder / "small")


def test_an_encoder_of_chapter_03_is_taken_as_it_is(tmp_path):
    path = save_checkpoint(tmp_path / "pretrain" / "simclr" / "checkpoint.pt", ContrastiveModel("resnet18"))
    encoder = find_encoder(tmp_path, "simclr", "resnet18", 32)
    assert (encoder.path, encoder.small) == (path, False)
    assert not (tmp_path / "small").exists()


def test_an_unknown_method_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=f"{', '.join(PRETRAINED)}.*'moco'"):
        find_encoder(tmp_path, "moco", "resnet18", 32)


def test_networks_of_chapter_04_are_taken_as_they_are(tmp_path):
    write_results(tmp_path / "finetune", [], {})
    networks = find_finetuned(tmp_path, 32)
    assert (networks.folder, networks.small) == (tmp_path / "finetune", False)


def test_every_method_of_the_table_predicts_the_test_hands(run):
    folder, networks = run
    config = FinetuneConfig(image_size=32, cache=str(folder / "cache"), progress=False)
    hands = held_out_crops(config, [], "test", 3)
    cells = load_results(networks.folder)["cells"]
    assert {cell["method"] for cell in cells} == {"mean_pose", "scratch", "simclr", "peclr"}
    for cell in cells:
        found = predict_finetuned(networks.folder, cell["method"], cell["labels"], hands, config.cache)
        assert found.keypoints_3d.shape == (3, 21, 3)
        assert np.isfinite(found.evaluate().pa_epe_mm)
        if cell["method"] == "mean_pose":
            np.testing.assert_array_equal(found.keypoints_3d[0], found.keypoints_3d[2])


@pytest.fixture
def finished(tmp_path):
    """A configuration whose output folder holds a checkpoint of this very run."""
    encoder = tmp_path / "encoder.pt"
    encoder.write_text("")
    config = FinetuneConfig(
        output=str(tmp_path / "out"), encoder=str(encoder), sources=("synthetic:4?seed=1",)
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text(config.to_json())
    (tmp_path / "out" / "checkpoint.pt").write_text("")
    os.utime(encoder, (1, 1))
    return config


def test_a_run_with_the_same_settings_goes_on(finished):
    assert resume_if_same(finished).resume
    assert resume_if_same(finished.replace(progress=False, cache="elsewhere")).resume


def test_a_run_with_other_settings_starts_again(finished):
    assert not resume_if_same(finished.replace(steps=7)).resume
    assert not resume_if_same(finished.replace(sources=("synthetic:8?seed=1",))).resume


def test_a_run_whose_encoder_was_trained_anew_starts_again(finished):
    os.utime(finished.encoder)
    os.utime(artefacts.Path(finished.output, "checkpoint.pt"), (1, 1))
    assert not resume_if_same(finished).resume


def test_a_run_in_an_empty_folder_starts(tmp_path):
    assert not resume_if_same(FinetuneConfig(output=str(tmp_path / "nothing"))).resume


def test_cells_make_a_file_that_the_label_fraction_table_reads(tmp_path, rng):
    true = rng.normal(0, 0.05, size=(4, 21, 3))
    score = evaluate_keypoints(true + 0.01, true, pred_2d=true[..., :2], gt_2d=true[..., :2])
    losses = [5.0] * 18 + [1.0, 3.0]
    cells = [make_cell("peclr", 8, 0, score, losses), make_cell("mean_pose", 8, 0, score)]
    assert [cell["training_loss"] for cell in cells] == [2.0, None]
    write_results(tmp_path, cells, {"steps": 3})
    assert load_results(tmp_path)["cells"] == json.loads(json.dumps(cells))
    assert [row["method"] for row in summarise(load_results(tmp_path))] == [
        "mean pose of the labels",
        "PeCLR",
    ]


def test_the_committed_table_is_read_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(artefacts, "find_repository", lambda: tmp_path)
    assert committed_table() is None
    write_results(tmp_path / "data" / "results", [], {})
    (tmp_path / "data" / "results" / "results.json").rename(
        tmp_path / "data" / "results" / "label_fractions.json"
    )
    assert committed_table()["cells"] == []


def test_outside_a_clone_there_is_no_committed_table(monkeypatch):
    def nowhere():
        raise FileNotFoundError

    monkeypatch.setattr(artefacts, "find_repository", nowhere)
    assert committed_table() is None
