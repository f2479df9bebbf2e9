"""Where a chapter leaves what it makes, from whatever folder it is run.

Every chapter that keeps or reads something calls `run_folder` on its parameter `run_dir`.
"""

from pathlib import Path

from .runner import find_repository


def run_folder(run_dir: str | Path) -> Path:
    """Settle a chapter's run folder, and make it.

    A relative path counts from the repository if there is one, so that JupyterLab (which works in
    `notebooks/`) and papermill (which works in the caller's folder) find the same artefacts.

    Args:
        run_dir: A folder; an absolute path is taken as it is.

    Returns:
        The folder's absolute path.
    """
    folder = Path(run_dir).expanduser()
    if not folder.is_absolute():
        folder = _base() / folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def short_path(path: str | Path) -> str:
    """A path to print: relative to the repository or to the current folder where it lies in one of them.

    Args:
        path: A file or folder; it need not exist.

    Returns:
        The path with forward slashes; outside both folders only its last three parts.
    """
    full = Path(path).resolve()
    for base in (_base(), Path.cwd()):
        if full.is_relative_to(base):
            return full.relative_to(base).as_posix()
    return Path("…", *full.parts[-3:]).as_posix()


def _base() -> Path:
    try:
        return find_repository()
    except FileNotFoundError:
        return Path.cwd()
