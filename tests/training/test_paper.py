"""The paper's setting: its numbers, its data, and the whole way from raw folders to the table in small."""

import json
import sys
import urllib.error

import cv2
import numpy as np
import pytest
import torch
import torchvision

from peclr_utils.datasets import SyntheticHands, export_freihand
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain
from peclr_utils.training.command_line import field_comments, parse
from peclr_utils.training.paper import PaperConfig, main, open_evaluation
from peclr_utils.training.pretrain import main as pretrain_main
from peclr_utils.training.raw_data import find_set, find_sets

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 96


def _write_youtube(root, hands) -> None:
    """YouTube3DHands' layout, by hand: 778 points about the keypoints, every third hand a left one."""
    folder = root / "youtube/video/video/frames"
    folder.mkdir(parents=True)
    images, annotations = [], []
    rng = np.random.default_rng(0)
    for k in range(len(hands)):
        sample, is_left = hands[k], k % 3 == 0
        frame = cv2.copyMakeBorder(sample.image, 0, 20, 0, 40, cv2.BORDER_REPLICATE)
        spread = rng.normal(0, 1, (778, 3))
        vertices = np.pad(sample.keypoints_2d[np.arange(778) % 21], ((0, 0), (0, 1))) + spread
        cv2.imwrite(str(folder / f"{k}.png"), frame[..., ::-1])
        name = f"youtube/video/video/frames/{k}.png"
        images.append({"name": name, "width": frame.shape[1], "height": frame.shape[0], "id": k})
        annotations.append({"vertices": vertices.tolist(), "is_left": int(is_left), "image_id": k, "id": k})
    labels = {"images": images, "annotations": annotations}
    (root / "youtube_train.json").write_text(json.dumps(labels))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A folder with both data sets in their own layouts, made of rendered hands."""
    root = tmp_path_factory.mktemp("raw")
    freihand = root / "FreiHAND_pub_v2"
    export_freihand(SyntheticHands(12, seed=1, size=SIZE, versions=2), freihand)
    export_freihand(SyntheticHands(6, seed=2, size=SIZE), freihand, part="evaluation")
    _write_youtube(root / "youtube_3d_hands", SyntheticHands(8, seed=3, size=SIZE))
    return root


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """Random weights where torchvision keeps ImageNet's: nothing is downloaded."""
    url = torchvision.models.get_model_weights("resnet18").IMAGENET1K_V1.url
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    file = tmp_path / "hub/checkpoints" / url.rsplit("/", 1)[1]
    file.parent.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(torchvision.models.resnet18().state_dict(), file)


@pytest.mark.parametrize(("preset", "arch"), [("paper_rn50", "resnet50"), ("paper_rn152", "resnet152")])
def test_pretraining_has_the_papers_numbers(preset, arch):
    config = getattr(PretrainConfig, preset)()
    config.validate()
    expected = {
        "method": "peclr", "arch": arch, "encoder": "imagenet", "image_size": 128, "rotation_degrees": 45.0,
        "temperature": 0.5, "projector_hidden": 512, "projection_size": 128, "epochs": 100,
        "warmup_epochs": 10.0, "weight_decay": 1e-6, "learning_rate": 1e-4, "optimiser": "adam",
        "batch_size": 128, "accumulate": 16, "grad_cache": True, "compared_pairs": 2048,
        "authors_exact": False,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in expected} == expected
    assert config.peak_learning_rate == pytest.approx(1e-4 * 2048**0.5)


@pytest.mark.parametrize("preset", ["paper_rn50", "paper_rn152"])
def test_the_authors_batch_is_128_added_up_16_times_at_the_same_rate(preset):
    config = getattr(PretrainConfig, preset)(authors_exact=True)
    config.validate()
    assert (config.batch_size, config.accumulate, config.compared_pairs) == (128, 16, 128)
    assert (config.precision, config.optimiser, config.pair_identities) == ("fp16", "layerwise_adam", False)
    assert config.peak_learning_rate == pytest.approx(1e-4 * 2048**0.5)


@pytest.mark.parametrize(("preset", "arch"), [("paper_rn50", "resnet50"), ("paper_rn152", "resnet152")])
def test_finetuning_is_at_224_pixels(preset, arch):
    config = getattr(FinetuneConfig, preset)()
    config.validate()
    assert (config.arch, config.image_size, config.labels) == (arch, 224, 0)
    assert min(config.weight_2d, config.weight_relative_depth, config.weight_root_depth) > 0


def test_what_the_paper_needs_is_where_a_user_looks():
    import peclr_utils.training as training

    expected = {"PaperConfig", "PaperResult", "run_paper", "LayerwiseAdam", "AuthorsPairBatches"}
    assert expected <= set(training.__all__)
    assert all(hasattr(training, name) for name in training.__all__)
    # Modules of the same name must not stand in the functions' place.
    assert all(callable(getattr(training, name)) for name in ("pretrain", "finetune", "run_paper"))


def test_every_field_is_explained_and_survives_json():
    config = PaperConfig.paper_rn152(pretrain={"epochs": 3})
    assert all(field_comments(PaperConfig).get(name) for name in vars(config))
    assert PaperConfig.from_json(config.to_json()) == config


def test_data_sets_are_found_in_the_folder_that_holds_them(raw):
    freihand, youtube = raw / "FreiHAND_pub_v2", raw / "youtube_3d_hands"
    assert find_sets(raw) == {"freihand": freihand, "youtube": youtube}
    assert find_sets(freihand) == {"freihand": freihand}
    assert find_set("youtube", youtube) == youtube
    with pytest.raises(FileNotFoundError, match="expected freihand .training_K.json., found only youtube"):
        find_set("freihand", youtube)
    with pytest.raises(FileNotFoundError, match="found neither"):
        find_sets(freihand / "training")
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        find_sets(raw / "nowhere")


def test_a_data_set_that_is_there_twice_is_not_guessed(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "training_K.json").touch()
    with pytest.raises(ValueError, match="freihand is there twice"):
        find_sets(tmp_path)


def test_the_command_line_takes_the_folder_and_a_preset(raw):
    config = parse(PretrainConfig, ["--preset", "paper_rn50", "--data", str(raw), "--authors_exact"], "p")
    freihand, youtube = raw / "FreiHAND_pub_v2", raw / "youtube_3d_hands"
    assert config.sources == (f"freihand:{freihand}?split=training", f"youtube:{youtube}?split=train")
    assert config.arch == "resnet50" and config.authors_exact
    config = parse(FinetuneConfig, ["--preset", "paper_rn152", "--data", str(raw)], "p")
    assert config.sources == (f"freihand:{freihand}?split=training",)
    assert config.test_sources == (f"freihand:{freihand}?split=evaluation",)
    given = parse(PretrainConfig, ["--preset", "smoke", "--sources", "synthetic:8"], "p")
    assert given.sources == ("synthetic:8",)


def test_missing_evaluation_labels_are_reported_before_anything_is_trained(raw, tmp_path, capsys):
    freihand = tmp_path / "FreiHAND"
    freihand.symlink_to(raw / "FreiHAND_pub_v2")
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (raw / "FreiHAND_pub_v2").iterdir():
        if path.name not in ("evaluation_xyz.json", ".peclr_utils"):
            (copy / path.name).symlink_to(path)
    with pytest.raises(FileNotFoundError, match="no evaluation_xyz.json; the evaluation needs it"):
        open_evaluation(str(copy))
    alone = json.dumps({"sources": [f"freihand:{copy}"]})
    assert main(["--data", str(copy), "--output", str(tmp_path / "run"), "--pretrain", alone]) == 2
    assert "no evaluation_xyz.json" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_missing_imagenet_weights_are_reported_before_anything_is_cropped(raw, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "empty"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", _no_network)
    cache = tmp_path / "cache"
    arguments = ["--data", str(raw), "--output", str(tmp_path / "run"), "--cache", str(cache)]
    assert main(arguments) == 2
    assert "the ImageNet weights of resnet50 are not on disk" in capsys.readouterr().err
    assert not cache.exists()


def _no_network(*_, **__):
    raise urllib.error.URLError("no network")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gone.pt", FileNotFoundError, "gone.pt: there is no such checkpoint"),
        ("damaged.pt", ValueError, "damaged.pt: "),
        ("other.pt", ValueError, "resnet34"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_reported_before_anything_is_cropped(
    tmp_path, name, error, message
):
    (tmp_path / "damaged.pt").write_bytes(b"PK\x03\x04 and no more")
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "other.pt")
    for run, config in ((pretrain, PretrainConfig.smoke()), (finetune, FinetuneConfig.smoke())):
        settings = {"encoder": str(tmp_path / name), "cache": str(tmp_path / "cache"), "output": ""}
        with pytest.raises(error, match=message):
            run(config.replace(**settings, progress=False))
        assert not (tmp_path / "cache").exists()


def test_one_data_set_is_not_silently_taken_for_both(raw, tmp_path, capsys):
    freihand = raw / "FreiHAND_pub_v2"
    assert main(["--data", str(freihand), "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "PaperConfig.data: expected FreiHAND and YouTube3DHands" in error
    assert "no youtube (youtube_train.json) is there" in error
    PaperConfig(data=str(freihand), pretrain={"sources": [f"freihand:{freihand}"]}).validate()


@pytest.mark.parametrize("text", ["[]", "3", "{bad"])
def test_settings_that_are_no_json_object_are_one_line(raw, text, capsys):
    with pytest.raises(SystemExit):
        main(["--data", str(raw), "--pretrain", text])
    assert "argument --pretrain: expected" in capsys.readouterr().err.splitlines()[-1]


def test_an_output_that_cannot_be_written_is_one_line(raw, tmp_path, capsys):
    (tmp_path / "file").touch()
    arguments = ["--preset", "smoke", "--output", str(tmp_path / "file" / "run"), "--no-progress"]
    assert pretrain_main([*arguments, "--sources", "synthetic:64", "--cache", ""]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_settings_reach_both_trainings_and_wrong_ones_are_named(raw, tmp_path, monkeypatch):
    changes = {"pretrain": {"epochs": 20}, "finetune": {"steps": 5000, "augmentation": {"scale": [0.8, 1.2]}}}
    config = PaperConfig.paper_rn152(data=str(raw), output=str(tmp_path / "run"), **changes)
    config.validate()
    first, second = config.pretrain_config(), config.finetune_config()
    assert (first.arch, first.epochs, second.arch, second.steps) == ("resnet152", 20, "resnet152", 5000)
    assert second.encoder == str(tmp_path / "run/pretrain/checkpoint.pt")
    with pytest.raises(ValueError, match="PaperConfig.data: expected the folder"):
        PaperConfig().validate()
    for part in ("pretrain", "finetune"):
        with pytest.raises(ValueError, match=f"PaperConfig.{part}: expected no 'arch' but 'resnet152'"):
            config.replace(**{part: {"arch": "resnet18"}}).validate()
        with pytest.raises(ValueError, match=f"PaperConfig.{part}: expected a dict"):
            config.replace(**{part: []}).validate()
    monkeypatch.setitem(sys.modules, "comet_ml", None)
    for part in ("pretrain", "finetune"):
        with pytest.raises(ValueError, match="comet: found 'offline', but Comet is not installed"):
            config.replace(**{part: {"comet": "offline"}}).validate()
    with pytest.raises(ValueError, match="FinetuneConfig.steps"):
        config.replace(finetune={"steps": 0}).validate()


@pytest.mark.parametrize("exact", [False, True])
def test_one_command_goes_from_raw_folders_to_the_table(raw, tmp_path, capsys, imagenet, exact):
    quiet = {"progress": False, "tensorboard": False, "device": "cpu"}
    small = {"image_size": 32, "epochs": 2, "warmup_epochs": 1.0, "batch_size": 4, "accumulate": 2}
    arguments = ["--data", str(raw), "--output", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]
    arguments += ["--arch", "resnet18", "--pretrain", json.dumps({**small, **quiet}), "--finetune"]
    arguments += [json.dumps({"image_size": 32, "steps": 4, "warmup_steps": 1, "batch_size": 4, **quiet})]
    arguments += ["--authors_exact"] if exact else []
    assert main(arguments) == 0
    table = capsys.readouterr().out
    for number in ("0.71", "0.860", "4.71", "0.357", "0.66", "0.868", "4.56", "0.360"):
        assert number in table
    assert "resnet18, crops around the true keypoints" in table and "ours over 6 others" in table
    how = "as the authors' code does it" if exact else "as the paper says"
    assert f"pre-trained {how}, 2 epochs on freihand and youtube." in table
    assert (tmp_path / "run/table.md").read_text() in table
    saved = PretrainConfig.load(tmp_path / "run/pretrain/config.json")
    assert saved.authors_exact == exact and len(saved.sources) == 2
    if not exact:
        assert main(arguments) == 0  # everything is read back
        assert capsys.readouterr().out == table
