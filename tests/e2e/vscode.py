"""Drives a real VS Code (code-server) in a headless Chromium, by keyboard, mouse and sight."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e import processes
from tests.e2e.editor import wait_until
from tests.e2e.home import CODE_SERVER, HOME, NODE_BIN, VSIX
from tests.e2e.project import Project

RUNS = '[id="whet.whet.whet.runs"]'
ACTIONS = ".action-widget .monaco-list-row.action"
PICKS = ".quick-input-list .monaco-list-row"

# First of all: nothing may pop up, phone home or complete what is typed.
SETTINGS: dict[str, Any] = {
    "security.workspace.trust.enabled": False,
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": False,
    "extensions.ignoreRecommendations": True,
    "chat.disableAIFeatures": True,
    "git.enabled": False,
    "window.commandCenter": False,
    "editor.minimap.enabled": False,
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "editor.wordBasedSuggestions": "off",
    "editor.autoClosingBrackets": "never",
    "editor.autoClosingQuotes": "never",
    "editor.autoIndent": "none",
    "editor.accessibilitySupport": "off",
    "files.autoSave": "off",
    "diffEditor.hideUnchangedRegions.enabled": False,
    "diffEditor.renderSideBySide": True,
    "diffEditor.useInlineViewWhenSpaceIsLimited": False,
}


def node_environ(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "PATH": f"{NODE_BIN}{os.pathsep}{environ['PATH']}"}


def install_extension(extensions: Path) -> None:
    """Into a folder that every code-server of the session reads."""
    data = extensions.parent / "install-data"
    subprocess.run(
        [str(CODE_SERVER), "--config", str(data / "config.yaml"), "--user-data-dir", str(data),
         "--extensions-dir", str(extensions), "--install-extension", str(VSIX)],
        env=node_environ(os.environ), check=True, capture_output=True, timeout=120,
    )  # fmt: skip


class Browser:
    """A page in a Chromium of its own, behind `browser.mjs`."""

    def __init__(self) -> None:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        assert chromium is not None, "no chromium: run tests/e2e/install.sh"
        script = HOME / "node" / "browser.mjs"  # beside node_modules, where imports are looked up
        script.write_bytes(Path(__file__).with_name("browser.mjs").read_bytes())
        self._process = subprocess.Popen(
            [str(NODE_BIN / "node"), str(script), chromium],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def do(self, verb: str, **request: Any) -> Any:
        """Raises `BrowserError` with playwright's own words."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request.setdefault("timeout_ms", 30_000)
        self._process.stdin.write(json.dumps({"verb": verb, **request}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise BrowserError(answer["error"])
        return answer["result"]

    def texts(self, selector: str) -> list[str]:
        # Editors and status bars draw spaces as no-break spaces.
        return [text.replace("\xa0", " ") for text in self.do("texts", selector=selector)]

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            processes.kill([*processes.descendants(self._process.pid), self._process.pid])
            self._process.wait()


class BrowserError(Exception):
    """What playwright says."""


class VSCode:
    """One window on the project's folder. `extensions` holds the installed extension."""

    def __init__(self, extensions: Path, project: Project, options: Mapping[str, Any]) -> None:
        self._data = project.root.parent / "code-server"
        self._file = project.file
        whet = {"serverCommand": project.server_command, **options}
        whet.pop("trusted")  # the editor's own trust counts
        # Where the extension runs on another machine than the window, as it does here, settings
        # that name programs and hosts belong to that machine.
        machine = {f"whet.{name}": value for name, value in whet.items()}
        for place, settings in (("User", SETTINGS), ("Machine", machine)):
            (self._data / place).mkdir(parents=True)
            (self._data / place / "settings.json").write_text(json.dumps(settings), "utf-8")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._log = (project.root.parent / "code-server.log").open("wb")
        self._process = subprocess.Popen(
            [str(CODE_SERVER), "--config", str(self._data / "config.yaml"), "--auth", "none",
             "--bind-addr", f"127.0.0.1:{port}", "--user-data-dir", str(self._data),
             "--extensions-dir", str(extensions), "--reconnection-grace-time", "10",
             "--disable-telemetry", "--disable-update-check", "--disable-workspace-trust",
             "--disable-getting-started-override", str(project.root)],
            env=node_environ(project.environ), stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self._browser = Browser()
        wait_until("code-server listens", lambda: _listens(port), timeout_s=60)
        self._browser.do("goto", url=f"http://127.0.0.1:{port}/?folder={project.root}")
        self._wait(".monaco-workbench .part.statusbar", timeout_ms=60_000)

    def open(self, file: Path) -> None:
        self._press("Control+P")
        self._wait(".quick-input-widget input")
        self._browser.do("fill", selector=".quick-input-widget input", value=file.name)
        # Enter before the row exists would open nothing.
        self._wait(f"{PICKS}.focused", file.name)
        self._press("Enter")
        self._wait(".monaco-editor .view-line")
        self._wait(".codelens-decoration", "Optimize", timeout_ms=60_000)

    def go_to(self, line: int) -> None:
        self._focus()
        self._press("Control+G")
        self._wait(".quick-input-widget input")
        self._browser.do("type", text=str(line))
        self._press("Enter")
        self._wait(".quick-input-widget", state="hidden")

    def choose_action(self, title: str) -> None:
        """Again where VS Code says that it lost the click: it renews a menu's actions when an
        extension starts, and forgets the commands of those that are shown."""
        for _ in range(3):
            wait_until(f"action {title!r}", lambda: self._offers(title, close=False), timeout_s=60)
            lost = self._lost_commands()
            self._browser.do("click", selector=ACTIONS, text=title)
            time.sleep(1)  # the log is written a moment later
            if self._lost_commands() == lost:
                return
        raise AssertionError(f"VS Code lost {title!r} three times")

    def _lost_commands(self) -> int:
        logs = self._data.glob("logs/**/remoteexthost.log")
        return sum(log.read_text("utf-8").count("Actual command not found") for log in logs)

    def offers_action(self, title: str) -> bool:
        return self._offers(title, close=True)

    def type_line_above(self, text: str) -> None:
        self._browser.do("type", text=text)  # `go_to` left the cursor at the line's beginning
        self._press("Enter")

    def text(self) -> str:
        """By saving: the screen shows only what fits."""
        self._focus()
        self._press("Control+S")
        self._wait(".tab.active.dirty", state="detached")
        return wait_until("the file is written", self._settled_text, timeout_s=10)

    def undo(self) -> None:
        self._focus()
        self._press("Control+Z")

    def progress(self) -> str:
        return "".join(self._browser.texts(f"{RUNS}:has(.codicon-sync)")).strip()

    def offer(self) -> str:
        running = re.fullmatch(r"\S+ \d+/\d+ (.*?)( \+\d+)?", self.progress())
        if running:
            return running[1]
        return (
            "".join(self._browser.texts(f"{RUNS}:has(.codicon-lightbulb)"))
            .strip()
            .partition(" ")[2]
        )

    def problems(self) -> list[str]:
        return self._browser.texts(".monaco-editor .squiggly-error") and ["an error is underlined"]

    def accept(self) -> None:
        self._pick("Accept")

    def cancel(self) -> None:
        self._pick("Cancel")

    def show_diff(self) -> tuple[str, str]:
        self._pick("Show diff")
        self._wait(".monaco-diff-editor .editor.original .view-line")
        self._wait(".monaco-diff-editor .editor.modified .view-line")
        sides = (".editor.original", ".editor.modified")
        theirs, mine = (
            "\n".join(self._browser.texts(f".monaco-diff-editor {side} .view-line"))
            for side in sides
        )
        return theirs, mine

    def messages(self) -> str:
        return "\n".join(self._browser.texts(".notification-list-item-message"))

    def kill(self) -> dict[int, str]:
        started = processes.commands_of(processes.descendants(self._process.pid))
        of_editor = {pid for pid, command in started.items() if str(HOME) in command}
        processes.kill([self._process.pid, *of_editor])
        self._process.wait()
        return {pid: command for pid, command in started.items() if pid not in of_editor}

    def leave_traces(self, folder: Path) -> None:
        with suppress(BrowserError):
            self._browser.do("screenshot", path=str(folder / "window.png"))
        self._log.flush()
        shutil.copy(self._log.name, folder)
        for log in self._data.glob("logs/**/*.log"):
            shutil.copy(log, folder / f"{log.parent.name}-{log.name}".replace(" ", "-"))

    def close(self) -> None:
        started = processes.descendants(self._process.pid)
        self._browser.close()
        processes.end(self._process)
        processes.kill(processes.survivors(started, within_s=5))
        self._log.close()

    def _settled_text(self) -> str:
        """Empty while the file is being written: it is truncated first."""
        before = self._file.read_text("utf-8")
        time.sleep(0.1)
        return before if before == self._file.read_text("utf-8") else ""

    def _offers(self, title: str, *, close: bool) -> bool:
        self._focus()
        self._press("Control+.")
        try:
            self._wait(ACTIONS, timeout_ms=3000)
        except BrowserError:
            self._press("Escape")  # the server has not registered yet, or has nothing to offer
            return False
        found = any(title in text for text in self._browser.texts(ACTIONS))
        if close or not found:
            self._press("Escape")
        return found

    def _pick(self, entry: str) -> None:
        """From the menu that the status bar's item opens."""
        self._browser.do("click", selector=f"{RUNS} a")
        self._wait(PICKS, entry)
        self._browser.do("click", selector=PICKS, text=entry)

    def _focus(self) -> None:
        """The first group's editor, or the right side of a diff."""
        self._browser.do("press", keys="Control+1")

    def _press(self, keys: str) -> None:
        self._browser.do("press", keys=keys)

    def _wait(self, selector: str, text: str | None = None, **request: Any) -> None:
        self._browser.do(
            "wait", selector=selector, **({} if text is None else {"text": text}), **request
        )


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
