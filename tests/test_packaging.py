"""The package as it is installed: versions, dependencies, what an import costs, what a wheel holds."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

import peclr_utils

NOT_AT_IMPORT = ("matplotlib", "IPython", "ipywidgets", "papermill", "nbconvert", "tensorboard", "ijson")
# Of the `course` extra: what runs the chapters, and the widgets. Loggers. What comes with matplotlib.
OPTIONAL = {"papermill", "nbclient", "nbconvert", "nbformat", "ipykernel", "jupyter_client", "traitlets"}
OPTIONAL |= {"latex2mathml", "ipywidgets", "IPython", "tensorboard", "comet_ml", "wandb", "mpl_toolkits"}
OPTIONAL |= {"onnxruntime", "PIL"}


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def requirements(project):
    """What `pip install '.[dev]'` brings: what the package needs, the course, ONNX and the tools."""
    extras = project["optional-dependencies"]  # `dev` begins with this package's `course` and `onnx`
    return [*project["dependencies"], *extras["course"], *extras["onnx"], *extras["dev"][1:]]


def distribution(requirement):
    return re.match(r"[\w-]+", requirement)[0]


def loaded_after(statement, names):
    """Which of these packages are imported in a fresh Python that has run a statement."""
    loaded = f"{{name.split('.')[0] for name in sys.modules}} & set({names!r})"
    command = [sys.executable, "-c", f"import sys\n{statement}\nprint(*({loaded}))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_version_and_oldest_python_are_the_same_everywhere_and_no_newest_is_named(project, repository):
    assert peclr_utils.__version__ == project["version"]
    oldest = re.fullmatch(r">=3\.(\d+)", project["requires-python"])[1]
    assert min(re.findall(r"Python :: 3\.(\d+)", "".join(project["classifiers"])), key=int) == oldest
    text = {name: (repository / name).read_text() for name in ("Makefile", "README.md", "pyproject.toml")}
    assert set(re.findall(r"\(3, (\d+)\)", text["Makefile"])) == {oldest}
    assert set(re.findall(r"Python 3\.(\d+) or newer", text["Makefile"] + text["README.md"])) == {oldest}
    assert f'target-version = "py3{oldest}"' in text["pyproject.toml"]


def test_conda_and_pip_users_get_the_same_dependencies(project, repository):
    _, listed = (repository / "environment.yml").read_text().split("\ndependencies:\n")
    lines = re.findall(r"^( *)- (.+)$", listed, flags=re.MULTILINE)
    conda, pip = ["python" + project["requires-python"], "pip", "pip:"], [*requirements(project), "-e ."]
    assert lines == [*(("  ", text) for text in conda), *((" " * 6, text) for text in pip)]


def test_every_dependency_earns_its_place_in_a_line_of_the_user_guide(project, repository):
    guide = (repository / "peclr_utils" / "README.md").read_text()
    explained = set(re.findall(r"^\| `([\w-]+)`.*\| \S", guide, flags=re.MULTILINE))
    assert {distribution(requirement) for requirement in requirements(project)} <= explained


def test_the_package_imports_nothing_it_does_not_depend_on(project, repository):
    imported = set()
    for path in (repository / "peclr_utils").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    outside = imported - set(sys.stdlib_module_names) - {"peclr_utils"}
    needed = set(map(distribution, project["dependencies"])) - {"opencv-python"} | {"cv2"}
    assert outside - OPTIONAL <= needed <= outside


def test_importing_the_package_imports_no_other_and_its_rooms_bring_no_notebook_or_plotting_package():
    others = (*NOT_AT_IMPORT, "tqdm", "torch", "torchvision", "cv2", "numpy")
    assert loaded_after("import peclr_utils", others) == []
    rooms = [room for room in peclr_utils._ROOMS if room not in ("plotting", "widgets")]
    assert loaded_after("import " + ", ".join(f"peclr_utils.{room}" for room in rooms), NOT_AT_IMPORT) == []


def test_every_room_is_reached_from_the_package_without_importing_it_first(repository):
    loaded = loaded_after("import peclr_utils\npeclr_utils.skeleton.BONES", ["torch", "peclr_utils"])
    assert loaded == ["peclr_utils"]
    rooms = {file.parent.name for file in (repository / "peclr_utils").glob("*/__init__.py")}
    assert rooms <= set(peclr_utils._ROOMS) <= set(dir(peclr_utils))
    with pytest.raises(AttributeError, match="no attribute 'loses'"):
        _ = peclr_utils.loses


def test_a_plain_install_holds_the_assets_and_every_module_and_nothing_else(repository, tmp_path):
    source, out = tmp_path / "a clean copy", tmp_path / "wheel"
    for name in ("peclr_utils", "tests", "notebooks"):
        shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(out)], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as packed:
        wheel = set(packed.namelist())
    package = repository / "peclr_utils"
    files = [path for path in package.rglob("*") if path.suffix in (".py", ".toml", ".glb")]
    wanted = {path.relative_to(repository).as_posix() for path in files}
    assert "peclr_utils/assets/generic_hand_right.glb" in wanted and wanted <= wheel
    assert all(name.split("/")[0].startswith("peclr_utils") for name in wheel)
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
