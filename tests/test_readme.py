"""What the first page and the user guide tell to type: it runs, or at least names what there is."""

import json
import re
import shlex
import shutil

import nbformat
import numpy as np
import pytest
import torch
import torchvision

from peclr_utils.datasets import SyntheticHands, export_freihand
from peclr_utils.evaluation.__main__ import main as evaluation_main
from peclr_utils.experiments.paper import PaperConfig
from peclr_utils.inference.__main__ import main as inference_main
from peclr_utils.inference.film import write_film
from peclr_utils.models import PoseNetwork25D
from peclr_utils.settings import parse
from peclr_utils.training import FinetuneConfig, PretrainConfig
from peclr_utils.weights import save_checkpoint, save_safetensors
from peclr_utils.weights.load import TRAINED_HERE

COMMANDS = {"training.pretrain": PretrainConfig, "training.finetune": FinetuneConfig}
COMMANDS["experiments.paper"] = PaperConfig


@pytest.fixture(scope="module")
def pages(repository):
    names = ("README.md", "peclr_utils/README.md")
    return {repository / name: (repository / name).read_text() for name in names}


def blocks(pages, language):
    text = "\n".join(pages.values())
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(pages, start):
    """The arguments of the shell commands that begin so, as lists of words."""
    text = re.sub(r"\s#.*", "", "".join(blocks(pages, "bash"))).replace("\\\n", " ")
    return [shlex.split(line[len(start) :]) for line in text.splitlines() if line.startswith(start + " ")]


def test_examples_and_commands_on_published_files_run(
    pages, repository, published_pose_file, tmp_path, monkeypatch, capsys
):
    """In a reader's folder: files as published but with random weights, FreiHAND, an image, boxes."""
    encoder = torchvision.models.resnet50(weights=None).state_dict()
    torch.save({"state_dict": encoder}, tmp_path / "peclr_rn50_yt3dh_fh.pth")
    published_pose_file(tmp_path / "rn50_peclr_yt3d-fh_pt_fh_ft.pth")
    save_checkpoint(tmp_path / "network.pt", PoseNetwork25D("resnet18"))
    export_freihand(SyntheticHands(2, seed=1), tmp_path / "data/raw/FreiHAND_pub_v2", part="evaluation")
    # The network that comes with the repository, with random weights and small crops.
    searching = PoseNetwork25D("resnet18")
    searching.image_size, searching.view_factor, searching.knows_presence = 32, 1.2, True
    save_safetensors(tmp_path / "searching.safetensors", searching)
    monkeypatch.setitem(TRAINED_HERE, "hand", str(tmp_path / "searching.safetensors"))
    images = ("hand.jpg", "photo.jpg", "my_images/hand.jpg", "photos/a.jpg")
    for name in images:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(next((repository / "data" / "sample").rglob("*.jpg")), tmp_path / name)
    table = "name,x,y,width,height\nhand.jpg,40,40,60,70\nhand.jpg,90,80,60,50\n"
    (tmp_path / "boxes.csv").write_text(table)
    write_film(tmp_path / "film.mp4", iter(np.zeros((3, 48, 64, 3), np.uint8)), 24.0)
    monkeypatch.chdir(tmp_path)

    examples = blocks(pages, "python")
    assert len(examples) >= 3
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})
    assert (tmp_path / "encoder.safetensors").is_file() and (tmp_path / "runs/rn50/pred.json").is_file()
    for words in commands(pages, "python -m peclr_utils.inference"):
        assert "--camera" in words or inference_main(words) == 0, words
    assert (tmp_path / "photo_hand.png").is_file() and (tmp_path / "out/hand.jpg").is_file()
    assert (tmp_path / "photos_hands").is_dir() and (tmp_path / "film_hand.mp4").is_file()
    assert len(json.loads((tmp_path / "hands.json").read_text())) == 2
    checks = commands(pages, "python -m peclr_utils.evaluation")
    assert len(checks) == 2 and all(evaluation_main(words) == 0 for words in checks)
    assert "70.79" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_training_commands_have_the_options_they_name(pages, name, tmp_path, monkeypatch):
    for file in ("FreiHAND_pub_v2/training_K.json", "youtube_3d_hands/youtube_train.json"):
        (tmp_path / "data/raw" / file).parent.mkdir(parents=True)
        (tmp_path / "data/raw" / file).touch()
    monkeypatch.chdir(tmp_path)
    program = f"python -m peclr_utils.{name}"
    told = commands(pages, program) + commands(pages, f"torchrun --nproc-per-node 4 -m peclr_utils.{name}")
    assert told
    for words in told:
        if words != ["--help"]:
            parse(COMMANDS[name], words, program).validate()


def test_papermill_is_told_parameters_that_the_chapters_have(pages, repository):
    told = commands(pages, "papermill")
    assert told
    for chapter, _, *rest in told:
        notebook = nbformat.read(repository / chapter, as_version=4)
        cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        given = {rest[k + 1].partition(":")[0] for k, word in enumerate(rest) if word in ("-p", "-y")}
        assert given and all(re.search(rf"^{name} = ", cell.source, flags=re.MULTILINE) for name in given)


def test_every_link_and_every_make_command_leads_somewhere(pages, repository):
    targets = set(re.findall(r"^(\w+):", (repository / "Makefile").read_text(), flags=re.MULTILINE))
    for page, text in pages.items():
        links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
        assert links and [link for link in links if not (page.parent / link).exists()] == []
        assert set(re.findall(r"(?:^|`)make (\w+)", text, flags=re.MULTILINE)) <= targets
