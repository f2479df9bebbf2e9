import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import peclr_utils

NOT_AT_IMPORT = ("matplotlib", "IPython", "ipywidgets", "papermill", "nbconvert", "tensorboard", "ijson")

OPENED = """\
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import peclr_utils
print("\\n".join(opened))
"""


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def requirements(project, extra=None):
    """The dependencies, with those of an extra if one is named; extras of this very package unfolded."""
    if extra is None:
        return list(project["dependencies"])
    own = project["optional-dependencies"][extra]
    inner = re.fullmatch(rf"{project['name']}\[(\w+)\]", own[0])
    return [*requirements(project, inner[1]), *own[1:]] if inner else [*requirements(project), *own]


def distribution(requirement):
    return re.match(r"[\w-]+", requirement)[0]


def fresh_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


def loaded_after(statement, names):
    code = (
        f"import sys\n{statement}\nprint(*({{name.split('.')[0] for name in sys.modules}} & set({names!r})))"
    )
    return fresh_python(code)[-1].split()


def test_the_version_is_the_same_in_the_package_and_its_metadata(project):
    assert peclr_utils.__version__ == project["version"]


def test_conda_and_pip_users_get_the_same_dependencies(project, repository):
    _, listed = (repository / "environment.yml").read_text().split("\ndependencies:\n")
    lines = re.findall(r"^( *)- (.+)$", listed, flags=re.MULTILINE)
    through_conda = [text for indent, text in lines if len(indent) == 2]
    through_pip = [text for indent, text in lines if len(indent) == 6]
    assert through_conda == [f"python{project['requires-python']}", "pip", "pip:"]
    assert through_pip == [*requirements(project, "dev"), "-e ."]
    assert lines == [*(("  ", text) for text in through_conda), *((" " * 6, text) for text in through_pip)]


def test_every_dependency_earns_its_place_in_a_line_of_the_readme(project, repository):
    readme = (repository / "README.md").read_text()
    explained = set(re.findall(r"^\| `([\w-]+)`.*\| \S", readme, flags=re.MULTILINE))
    assert {distribution(requirement) for requirement in requirements(project, "dev")} <= explained


def test_the_package_imports_nothing_it_does_not_depend_on(project, repository):
    imported = set()
    for path in (repository / "peclr_utils").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    outside = imported - set(sys.stdlib_module_names) - {"peclr_utils"}
    module = {"opencv-python": "cv2"}
    needed = {module.get(name, name) for name in map(distribution, project["dependencies"])}
    # With the `course` extra: what runs the chapters, and the widgets. If installed: TensorBoard and Comet.
    optional = {"papermill", "nbclient", "nbconvert", "nbformat", "ipykernel", "jupyter_client", "traitlets"}
    optional |= {"ipywidgets", "IPython", "tensorboard", "comet_ml"}
    # Comes with matplotlib.
    optional |= {"mpl_toolkits"}
    assert outside - optional <= needed
    assert needed <= outside


def test_importing_the_package_reads_no_file_but_its_own_source():
    opened = [Path(name) for name in fresh_python(OPENED) if name]
    own = Path(peclr_utils.__file__).parent
    # Python itself reads modules of its library, and reads or writes their compiled form.
    library = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    source = re.compile(r"\.py$|\.pyc(\.\d+)?$")
    foreign = [
        path
        for path in opened
        if not source.search(path.name) or not any(path.is_relative_to(root) for root in [own, *library])
    ]
    assert foreign == []
    assert any(path.is_relative_to(own) for path in opened)


def test_importing_the_package_imports_no_other():
    others = (*NOT_AT_IMPORT, "tqdm", "torch", "torchvision", "cv2", "numpy")
    assert loaded_after("import peclr_utils", others) == []


def test_the_rooms_a_training_script_imports_bring_no_notebook_or_plotting_package():
    rooms = [room for room in peclr_utils._ROOMS if room not in ("plotting", "widgets")]
    statement = "import " + ", ".join(f"peclr_utils.{room}" for room in rooms)
    assert loaded_after(statement, NOT_AT_IMPORT) == []


def test_rooms_are_reached_from_the_package_without_importing_them_first():
    assert fresh_python("import peclr_utils\nprint(peclr_utils.skeleton.NUM_KEYPOINTS)") == ["21"]
    assert set(peclr_utils._ROOMS) <= set(dir(peclr_utils))
    with pytest.raises(AttributeError, match="no attribute 'loses'"):
        _ = peclr_utils.loses


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    """The names in the wheel that a plain `pip install .` would install, built from a clean copy."""
    source, out = tmp_path_factory.mktemp("a clean copy"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    for name in ("peclr_utils", "tests", "notebooks"):
        if (repository / name).is_dir():
            shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(out)], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as packed:
        return set(packed.namelist())


def test_a_plain_install_contains_the_assets_and_every_module(wheel, repository):
    package = repository / "peclr_utils"
    files = [path for path in package.rglob("*") if path.suffix == ".py" or path.parent.name == "assets"]
    wanted = {path.relative_to(repository).as_posix() for path in files if path.is_file()}
    assert "peclr_utils/assets/generic_hand_right.glb" in wanted
    assert wanted <= wheel


def test_a_plain_install_contains_neither_tests_nor_notebooks(wheel):
    assert all(name.split("/")[0].startswith("peclr_utils") for name in wheel)
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
