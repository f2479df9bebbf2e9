"""Run chapters in JupyterLab in headless Chromium, move every slider, and take screenshots. Run by hand:

    python tests/browser/drive_jupyterlab.py --screenshots runs/browser [CHAPTER.ipynb ...]

Needs Debian's `chromium` or Chrome (`--browser`). Every cell is run in the page, as a reader does it. A cell
that ends in an error and a slider that changes nothing are printed, and the exit status is 1. Each cell with
sliders is photographed at 1280 x 800, light and dark. Web pages (`--pages FOLDER`) are opened offline; what
they lack is printed. The notebooks' files stay as they are.
"""

import argparse
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import websocket  # JupyterLab brings it

ROOT = Path(__file__).resolve().parents[2]
LAB, DEBUG = 8931, 9331
NOTEBOOK = "window.jupyterapp.shell.currentWidget.content"


class Page:
    """One page of the browser, by Chrome's DevTools protocol."""

    def __init__(self, address: str):
        self.socket = websocket.create_connection(address, timeout=60)
        self.number = 0
        self.failed: list[str] = []  # addresses of what could not be loaded
        for domain in ("Network", "Page", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and wait for its answer; what fails to load meanwhile is noted."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("method") == "Network.loadingFailed" and not answer["params"].get("canceled"):
                self.failed.append(f"{answer['params']['type']}: {answer['params']['errorText']}")
            if answer.get("id") == self.number:
                return answer.get("result", {})

    def run(self, script: str) -> Any:
        """The value of a piece of JavaScript, awaited; RuntimeError if it throws."""
        options = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", **options)
        if wrong := answer.get("exceptionDetails"):
            raise RuntimeError(f"{script}: {wrong.get('exception', {}).get('description', wrong['text'])}")
        return answer.get("result", {}).get("value")

    def wait(self, script: str, seconds: float) -> bool:
        """Wait until a piece of JavaScript is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(RuntimeError):  # what it asks for may not be there yet
                if self.run(script) is True:
                    return True
            time.sleep(0.3)
        return False

    def screenshot(self, file: Path) -> None:
        """Write what is seen as PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def started(browser: str) -> Iterator[Page]:
    """Start JupyterLab and a browser, and end both with everything they started."""
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        settings = Path(temporary, "settings/@jupyterlab/docmanager-extension/plugin.jupyterlab-settings")
        settings.parent.mkdir(parents=True)
        settings.write_text('{"autosave": false}')
        flags = f"--no-browser --port={LAB} --IdentityProvider.token= --expose-app-in-browser --allow-root"
        lab = [sys.executable, "-m", "jupyterlab", *flags.split(), f"--ServerApp.root_dir={ROOT}"]
        environment = {**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(Path(temporary, "settings"))}
        chrome = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={temporary}/c",
        ]
        chrome += [f"--remote-debugging-port={DEBUG}", "--remote-allow-origins=*"]
        for command in (lab, [*chrome, "about:blank"]):
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
            process = subprocess.Popen(command, env=environment, **quiet)
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGTERM)
        for address in (f"http://localhost:{LAB}/api", f"http://localhost:{DEBUG}/json"):
            answer = _fetch(address)
        page = Page(next(tab for tab in answer if tab["type"] == "page")["webSocketDebuggerUrl"])
        page.call(
            "Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=1, mobile=False
        )
        # JupyterLab knows no current notebook in a window without the focus, which headless ones lack.
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        yield page


def _fetch(address: str) -> Any:
    for _ in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(address) as answer:
            return json.load(answer)
        time.sleep(0.3)
    raise TimeoutError(f"{address}: no answer within 30 seconds")


def run_chapter(page: Page, chapter: Path, seconds: float) -> list[str]:
    """Open a chapter and run all its cells; returns what went wrong."""
    page.call("Page.navigate", url=f"http://localhost:{LAB}/lab/tree/{chapter.relative_to(ROOT)}?reset")
    if not page.wait("!!(window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell'))", 60):
        raise RuntimeError("does not open")
    page.wait(f"{NOTEBOOK}.widgets.length > 5", 30)
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel"
    page.wait(f"{kernel}?.status === 'idle'", 60)
    # Not the command that also restarts: it asks the reader first, and waits for an answer.
    page.run("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.run("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    cells = f"{NOTEBOOK}.widgets.filter(c => c.model.type === 'code' && c.model.sharedModel.source.trim())"
    if not page.wait(f"{cells}.every(c => c.model.executionCount) && {kernel}?.status === 'idle'", seconds):
        wrong = [f"not finished after {seconds:.0f} seconds"]
    else:
        wrong = []
    failed = page.run(
        f"{NOTEBOOK}.widgets"
        ".map((c, i) => [i, c.model.outputs?.toJSON().find(o => o.output_type === 'error')])"
        ".filter(([i, o]) => o).map(([i, o]) => `cell ${i}: ${o.ename}: ${o.evalue}`)"
    )
    return wrong + failed


def move_sliders(page: Page, folder: Path) -> list[str]:
    """Move each slider of the open chapter by its keys and photograph its cell; returns what went wrong."""
    wrong = []
    widget = "o => o.data?.['application/vnd.jupyter.widget-view+json']"
    cells = page.run(
        f"{NOTEBOOK}.widgets.map((c, i) => [i, c.model.outputs?.toJSON().some({widget})])"
        ".filter(([i, has]) => has).map(([i, has]) => i)"
    )
    for cell in cells:
        page.run(f"{NOTEBOOK}.scrollToItem({cell}, 'start')")
        time.sleep(1.5)
        inside = f"{NOTEBOOK}.widgets[{cell}].node"
        count = page.run(f"{inside}.querySelectorAll('.noUi-handle').length")
        for slider in range(count):
            handle = f"{inside}.querySelectorAll('.noUi-handle')[{slider}]"
            seen = f"{inside}.querySelector('img')?.src"
            before = page.run(seen)
            page.run(f"{handle}.focus()")
            name, code = "ArrowLeft", 37
            if page.run(f"{handle}.ariaValueNow === {handle}.ariaValueMin"):
                name, code = "ArrowRight", 39
            for _ in range(3):
                for kind in ("keyDown", "keyUp"):
                    key = {"key": name, "code": name, "windowsVirtualKeyCode": code}
                    page.call("Input.dispatchKeyEvent", type=kind, **key)
            time.sleep(1)
            if before is not None and page.run(seen) == before:
                wrong.append(f"cell {cell}: slider {slider} changes nothing")
        for theme in ("Light", "Dark"):
            name = f"{{theme: 'JupyterLab {theme}'}}"
            page.run(f"window.jupyterapp.commands.execute('apputils:change-theme', {name})")
            time.sleep(1)
            page.screenshot(folder / f"cell_{cell}_{theme.lower()}.png")
    return wrong


def open_pages(page: Page, folder: Path, screenshots: Path) -> list[str]:
    """Open each web page of a folder without a network; returns what is missing."""
    wrong = []
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.emulateNetworkConditions", **offline)
    for file in sorted(folder.glob("*.html")):
        page.failed.clear()
        page.call("Page.navigate", url=file.resolve().as_uri())
        page.wait("document.readyState === 'complete'", 30)
        broken = page.run("[...document.images].filter(i => i.complete && !i.naturalWidth).length")
        wrong += [f"{file.name}: {broken} images are broken"] if broken else []
        wrong += [f"{file.name}: {missing}" for missing in page.failed]
        page.screenshot(screenshots / f"{file.stem}.png")
    return wrong


def main() -> int:
    """Drive the chapters and pages that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "chapters", nargs="*", type=Path, help="notebooks; all five chapters if neither these nor pages"
    )
    parser.add_argument("--screenshots", type=Path, default=ROOT / "runs/browser", help="folder for them")
    parser.add_argument("--pages", type=Path, help="folder of web pages to open offline")
    parser.add_argument("--browser", default="chromium", help="the browser's program")
    parser.add_argument("--minutes", type=float, default=20, help="for one chapter at most")
    given = parser.parse_args()
    chapters = given.chapters
    if not chapters and not given.pages:
        chapters = sorted((ROOT / "notebooks").glob("0*.ipynb"))
    wrong = []
    for chapter in chapters:
        start, found = time.monotonic(), []
        # A browser for each: it asks before it leaves a notebook that isn't saved.
        with started(given.browser) as page:
            try:
                found += run_chapter(page, chapter.resolve(), 60 * given.minutes)
                found += move_sliders(page, given.screenshots / chapter.stem)
            except RuntimeError as error:  # the next chapter may do better
                found.append(str(error))
        print(f"{chapter.name}: {time.monotonic() - start:.0f} s, {len(found)} problems", flush=True)
        wrong += [f"{chapter.name}: {text}" for text in found]
    if given.pages:
        with started(given.browser) as page:
            wrong += open_pages(page, given.pages, given.screenshots / "pages")
    print("\n".join(wrong) or "No problems.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
