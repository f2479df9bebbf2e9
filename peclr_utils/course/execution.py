"""Execute one chapter in this very Python, and turn it into a web page.

papermill, Jupyter and nbconvert are imported only inside the functions: `pip install .` does without them.
"""

import ast
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

COURSE_PACKAGES = ("papermill", "ipykernel", "nbconvert")
WIDGET = "application/vnd.jupyter.widget-view+json"
BAR = "{desc}  {percentage:3.0f}% |{bar:30}| cell {n_fmt} of {total_fmt}, {elapsed}"


class ChapterError(RuntimeError):
    """A chapter stopped half-way; the message says where, why, and what is left behind."""


def require_course_packages() -> None:
    """Check that what runs a notebook is installed.

    Raises:
        ModuleNotFoundError: Something is missing; the message says how to install it.
    """
    missing = [name for name in COURSE_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"Running the chapters needs {', '.join(missing)}, which this Python ({sys.executable}) does not "
            f"have. In the repository's folder: pip install '.[course]'"
        )


def parameter_names(notebook: Path) -> set[str]:
    """List what a chapter can be given.

    Args:
        notebook: The chapter.

    Returns:
        The names assigned in its cell tagged `parameters`.

    Raises:
        ValueError: The notebook has no such cell, or more than one.
    """
    import nbformat

    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise ValueError(f"{notebook}: expected one cell tagged 'parameters', found {len(tagged)}.")
    targets: list[ast.expr] = []
    for statement in ast.parse(tagged[0].source).body:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets.append(statement.target)
    return {target.id for target in targets if isinstance(target, ast.Name)}


def execute_chapter(notebook: Path, executed: Path, parameters: dict[str, Any], folder: Path) -> None:
    """Run a notebook from top to bottom through papermill, with a progress bar.

    Args:
        notebook: The chapter.
        executed: Where to write it with its outputs; written after every cell, so that a failure leaves
            what was done.
        parameters: Plain literals for the cell tagged `parameters`.
        folder: The kernel's working folder.

    Raises:
        ChapterError: A cell raised, or the kernel died.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    executed.unlink(missing_ok=True)
    try:
        with _progress(notebook, extra_cells=1) as on_cell_start:
            papermill.execute_notebook(
                _braces(notebook),
                _braces(executed),
                parameters=parameters,
                kernel_name="python3",
                progress_bar=False,
                cwd=folder,
                kernel_manager_class=_kernel_manager_class(),
                on_cell_start=on_cell_start,
                store_widget_state=False,
            )
    except PapermillExecutionError as error:
        last = _last_line(f"{error.ename}: {error.evalue}")
        raise ChapterError(_failure(notebook, executed, f"cell [{error.exec_count}]", last)) from error
    except DeadKernelError as error:
        why = "its Python process died. That is most often too little memory"
        raise ChapterError(_failure(notebook, executed, "the last cell begun", why)) from error


def _braces(path: Path) -> str:
    """papermill reads {name} in a path as a parameter's name; a folder may really be called so."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]
    return [line for line in lines if line][-1]


def _failure(notebook: Path, executed: Path, cell: str, why: str) -> str:
    return (
        f"Chapter {notebook.stem} stopped at {cell}:\n    {why}\n"
        f"As far as it came, it is at {executed}, with the full traceback."
    )


@contextmanager
def _progress(notebook: Path, extra_cells: int) -> Iterator[Any]:
    """A bar over the cells, whose clock also runs while one cell works for minutes."""
    import nbformat

    total = len(nbformat.read(notebook, as_version=4).cells) + extra_cells
    done = threading.Event()
    with tqdm(total=total, desc=notebook.stem.replace("_", " "), bar_format=BAR) as bar:

        def on_cell_start(cell: Any, cell_index: int) -> None:
            bar.n = cell_index
            bar.refresh()

        def tick() -> None:
            while not done.wait(1.0):
                bar.refresh()

        clock = threading.Thread(target=tick, daemon=True)
        if sys.stderr.isatty():
            clock.start()
        try:
            yield on_cell_start
            bar.n = total
        finally:
            done.set()
            if clock.is_alive():
                clock.join()
            bar.refresh()


def _kernel_manager_class() -> type:
    """A kernel manager that always starts the Python we run in.

    By itself Jupyter looks "python3" up in several folders and may find another environment's Python, or
    none at all.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from traitlets import default

    class ThisPythonSpec(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            # ipykernel's own description starts sys.executable. What a kernel logs while it starts and stops
            # would only break the progress bar; a chapter's own output and errors go into the notebook.
            own = get_kernel_dict()
            own["argv"] = [*own["argv"], "--IPKernelApp.log_level=50"]
            return KernelSpec(
                **own,
                env={
                    # Figures belong into the notebook, even where the caller's shell says otherwise.
                    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                    # No debugger is attached: spare the reader its warning about frozen modules.
                    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
                },
            )

    class ThisPython(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _this_python(self) -> KernelSpecManager:
            return ThisPythonSpec(parent=self)

    return ThisPython


def export_html(executed: Path) -> Path:
    """Write an executed chapter as one HTML file beside it, pictures included.

    A widget needs a running kernel; in the page a line stands in its place.

    Args:
        executed: The chapter with its outputs.

    Returns:
        The page's path.
    """
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                output["data"] = {"text/plain": "(Here JupyterLab shows sliders.)"}
    body, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": executed.stem}})
    page = executed.with_suffix(".html")
    page.write_text(body, encoding="utf-8")
    return page
