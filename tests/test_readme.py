"""What the README tells to type: it runs, or at least names what there is."""

import re
import shlex
import shutil

import nbformat
import pytest
import torch
import torchvision

from peclr_utils.datasets import SyntheticHands, export_freihand
from peclr_utils.evaluation.__main__ import main as evaluation_main
from peclr_utils.inference.__main__ import main as inference_main
from peclr_utils.models import PoseNetwork25D
from peclr_utils.training import PaperConfig, PretrainConfig
from peclr_utils.training.command_line import parse


@pytest.fixture(scope="module")
def readme(repository):
    return (repository / "README.md").read_text()


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def readers_folder(repository, tmp_path, monkeypatch):
    """A reader's folder: files as published but with random weights, FreiHAND, a picture."""
    encoder = torchvision.models.resnet50(weights=None).state_dict()
    torch.save({"state_dict": encoder}, tmp_path / "peclr_rn50_yt3dh_fh.pth")
    names = {"backbone.": "backend_model.", "root_refinement.": "zroot_ref.zroot_ref."}
    pose = {
        new + key.removeprefix(old): value
        for key, value in PoseNetwork25D("resnet50").state_dict().items()
        for old, new in names.items()
        if key.startswith(old)
    }
    torch.save({"state_dict": pose}, tmp_path / "rn50_peclr_yt3d-fh_pt_fh_ft.pth")
    export_freihand(SyntheticHands(2, seed=1), tmp_path / "data/raw/FreiHAND_pub_v2", part="evaluation")
    picture = next((repository / "data" / "sample").rglob("*.jpg"))
    shutil.copy(picture, tmp_path / "hand.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_python_example_runs(readme, readers_folder):
    examples = blocks(readme, "python")
    assert examples
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})
    assert (readers_folder / "encoder.safetensors").is_file()
    assert (readers_folder / "runs" / "rn50" / "pred.json").is_file()


def commands(readme, start):
    """The bash commands of the page that begin so, as lists of words."""
    text = re.sub(r"\s#.*", "", "".join(blocks(readme, "bash"))).replace("\\\n", " ")
    text = re.sub(r"'[^']*'", lambda quoted: quoted[0].replace("\n", " "), text)
    return [shlex.split(line)[len(start.split()) :] for line in text.splitlines() if line.startswith(start)]


def test_the_commands_on_published_files_run(readme, readers_folder, capsys):
    for example in blocks(readme, "python"):
        if "write_submission" in example:
            exec(compile(example, "README.md", "exec"), {})
    (drawing,) = commands(readme, "python -m peclr_utils.inference")
    assert inference_main(drawing) == 0 and (readers_folder / "out.png").is_file()
    checks = commands(readme, "python -m peclr_utils.evaluation")
    assert len(checks) == 2 and all(evaluation_main(words) == 0 for words in checks)
    assert "70.79" in capsys.readouterr().out


TRAININGS = {
    "pretrain": PretrainConfig,
    "paper": PaperConfig,
}


@pytest.mark.parametrize("name", TRAININGS)
def test_the_training_commands_have_the_options_they_name(readme, name, tmp_path, monkeypatch):
    for file in ("FreiHAND_pub_v2/training_K.json", "youtube_3d_hands/youtube_train.json"):
        (tmp_path / "data/raw" / file).parent.mkdir(parents=True)
        (tmp_path / "data/raw" / file).touch()
    monkeypatch.chdir(tmp_path)
    program = f"python -m peclr_utils.training.{name}"
    told = commands(readme, program)
    told += [
        words[words.index(f"peclr_utils.training.{name}") + 1 :]
        for words in commands(readme, "torchrun")
        if f"peclr_utils.training.{name}" in words
    ]
    assert told
    for words in told:
        parse(TRAININGS[name], words, program).validate()


def test_papermill_is_told_parameters_that_the_chapters_have(readme, repository):
    told = commands(readme, "papermill")
    assert told
    for chapter, _, *rest in told:
        notebook = nbformat.read(repository / chapter, as_version=4)
        cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        given = {rest[k + 1] for k, word in enumerate(rest) if word == "-p"}
        given |= {rest[k + 1].partition(":")[0] for k, word in enumerate(rest) if word == "-y"}
        assert given and all(re.search(rf"^{name} = ", cell.source, flags=re.MULTILINE) for name in given)


def test_every_link_into_the_repository_leads_somewhere(readme, repository):
    links = [link for link in re.findall(r"\]\(([^)#]+)", readme) if "://" not in link]
    assert links
    assert [link for link in links if not (repository / link).exists()] == []


def test_every_make_command_names_a_target(readme, repository):
    targets = set(re.findall(r"^(\w+):", (repository / "Makefile").read_text(), flags=re.MULTILINE))
    used = set(re.findall(r"(?:^|`)make (\w+)", readme, flags=re.MULTILINE))
    assert used
    assert used <= targets
