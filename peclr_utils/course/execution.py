"""Execute one chapter in the running Python, export it as a web page, or refresh it in place.

papermill and nbconvert are imported inside the functions, because `pip install .` does not install them.
"""

import html
import os
import posixpath
import re
import sysconfig
import tomllib
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from peclr_utils.progress import BAR_FILE, progress_line

from . import find_repository

ENVIRONMENT = {
    # Jupyter looks here first: a kernel "python3" in the user's own folder may be another Python.
    "JUPYTER_PATH": str(Path(sysconfig.get_path("data"), "share", "jupyter")),
    # Figures belong in the notebook, whatever the shell says.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}

# What papermill adds, and the exact version of Python, would differ each time.
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python"},
}

# nbconvert's page without the scripts that it loads from the web, and with alternative texts, which its lab
# template leaves out. A browser that picks a font without stretching braces draws formulas badly: name some.
PAGE = """{% extends 'index.html.j2' %}
{% block html_head_js %}{% endblock %}{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_js_mathjax %}<style>
math { font-family: "Cambria Math", "STIX Two Math", "Latin Modern Math", "DejaVu Math TeX Gyre", math; }
</style>{% endblock %}
{% macro tell(img, text) %}{{ img | replace('<img', '<img alt="' ~ text | escape_html ~ '"') }}{% endmacro %}
{% block data_png %}{{ tell(super(), output | get_metadata('alt', 'image/png') or '') }}{% endblock %}
{% block data_jpg %}{{ tell(super(), output | get_metadata('alt', 'image/jpeg') or '') }}{% endblock %}
"""


class ChapterError(RuntimeError):
    """A chapter stopped early; the message says where, why, and where its outputs are."""


def execute_chapter(notebook: Path, executed: Path, parameters: dict[str, Any], folder: Path) -> None:
    """Run a notebook from top to bottom by papermill, with a line about its progress.

    Args:
        notebook: the chapter.
        executed: where to write it with its outputs; papermill also writes it while it runs.
        parameters: plain literals for the cell tagged `parameters`.
        folder: the kernel's working folder.

    Raises:
        ChapterError: if a cell raised, or the kernel died.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    title = f"chapter {notebook.stem.partition('_')[0]}"
    cells = len(nbformat.read(notebook, as_version=4).cells) + bool(parameters)  # papermill adds a cell
    bar = executed.with_suffix(".bar")
    try:
        environment = patch.dict(os.environ, {**ENVIRONMENT, BAR_FILE: str(bar.resolve())})
        with environment, progress_line(title, cells, bar) as start_cell:
            papermill.execute_notebook(
                notebook,
                executed,
                parameters=parameters,
                kernel_name="python3",
                progress_bar=False,
                on_cell_start=start_cell,
                cwd=folder,
                store_widget_state=False,
                # The kernel's own warnings would break the line; the chapter's go into the notebook.
                extra_arguments=["--IPKernelApp.log_level=50"],
            )
    except PapermillExecutionError as error:
        place, reason = f"cell [{error.exec_count}]", f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        place, reason = "an unknown cell", "its Python process died, most often because memory ran out"
    else:
        return
    reason = reason.strip().splitlines()[-1]
    raise ChapterError(
        f"Chapter {notebook.stem} stopped at {place}:\n    {reason}\nIts outputs so far are in {executed}.\n"
        "The chapters before it are kept; add --resume to the command to continue."
    )


def describe_images(notebook: Any) -> None:
    """Set each image's alternative text, in place: the paragraph at the top of the next Markdown cell.

    An image that a heading follows gets none.
    """
    from nbconvert.filters import markdown2html

    text = ""
    for cell in reversed(notebook.cells):
        if cell.cell_type == "markdown":
            first = re.match(r"<p>(.*?)</p>", markdown2html(cell.source), re.DOTALL)
            text = " ".join(html.unescape(re.sub(r"<[^>]+>|\$", "", first[1])).split()) if first else ""
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}):
                if kind.startswith("image/") and text:
                    output.metadata[kind] = {**output.metadata.get(kind, {}), "alt": text}


def point_link(url: str, folder: Path, pages: Collection[str]) -> str:
    """Make a link of a chapter work on its page in a folder, where `pages` are or will be.

    A file without a page is looked for in the repository that pyproject.toml names, see `[project.urls]`; ""
    if it names none.
    """
    place, scheme = url.partition("#")[0], urlsplit(url).scheme
    if scheme or not place:
        return url
    name = place.removesuffix(".ipynb")
    if name in pages or (folder / f"{name}.html").is_file():
        return url.replace(place, f"{name}.html", 1)
    project = tomllib.loads((find_repository() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    home = project.get("urls", {}).get("Repository", "")
    return home and f"{home}/{posixpath.normpath(f'blob/HEAD/notebooks/{url}')}"


def export_html(executed: Path, pages: Collection[str] = ()) -> None:
    """Write an executed chapter as one HTML file that needs no web; a line of text replaces each widget.

    `pages` names chapters whose pages will be in the same folder, for links.
    """
    import nbformat
    from latex2mathml.converter import convert
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    renderer = IPythonRenderer(escape=False)
    renderer.inline_math, renderer.block_math = convert, partial(convert, display="block")

    def link(text: str, url: str, title: str | None = None) -> str:
        target = point_link(url, executed.parent, pages)
        return IPythonRenderer.link(renderer, text, target, title) if target else text

    renderer.link = link
    notebook = nbformat.read(executed, as_version=4)
    describe_images(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                output["data"] = {"text/plain": "(JupyterLab shows sliders here.)"}
    exporter = HTMLExporter(raw_template=PAGE)
    exporter.register_filter("markdown2html", MarkdownWithMath(renderer).render)
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": executed.stem}})
    executed.with_suffix(".html").write_text(body, encoding="utf-8")


def refresh(notebook: Path) -> None:
    """Run a committed chapter with its own parameters, and write it back with its outputs.

    Raises:
        ChapterError: if the chapter failed; the notebook is left as it was.
    """
    import nbformat

    repository = notebook.parent.parent
    executed = repository / "runs" / "refresh" / notebook.name
    executed.parent.mkdir(parents=True, exist_ok=True)
    execute_chapter(notebook, executed, {}, repository)
    clean = nbformat.read(executed, as_version=4)
    clean.metadata = nbformat.from_dict(METADATA)
    for cell in clean.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags" and v})
    describe_images(clean)
    nbformat.write(clean, notebook)
