"""Drives a real Neovim through its remote interface, with keys and commands as a user's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e import processes
from tests.e2e.editor import wait_until
from tests.e2e.home import nvim_root
from tests.e2e.project import Project

PLUGIN = Path(__file__).parents[2] / "neovim-plugin"


class Neovim:
    """Neovim of a Debian release, run from its unpacked tree by that tree's own loader, so
    that the processes it starts are the host's."""

    def __init__(self, release: str, project: Project, options: Mapping[str, Any]) -> None:
        self._root = nvim_root(release)
        self._socket = project.root.parent / "nvim.sock"
        self._environ = {**project.environ, "VIMRUNTIME": f"{self._root}/usr/share/nvim/runtime"}
        init = project.root.parent / "init.lua"
        init.write_text(_init_lua(project, options), "utf-8")
        self._log = (project.root.parent / "nvim.log").open("wb")
        self._process = subprocess.Popen(
            [*self._nvim(), "--headless", "-u", str(init), "--listen", str(self._socket)],
            cwd=project.root, env=self._environ, stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        wait_until("Neovim listens", self._socket.exists, timeout_s=20)

    def open(self, file: Path) -> None:
        self.keys(f":edit {file}<CR>")
        wait_until("the server is attached", self._attached, timeout_s=30)

    def go_to(self, line: int) -> None:
        self.keys(f"{line}G")

    def choose_action(self, title: str) -> None:
        wait_until(f"action {title!r}", lambda: self.offers_action(title), timeout_s=30)
        self.lua(
            "vim.lsp.buf.code_action({apply = true, filter = function(action)"
            f" return action.title == {json.dumps(title)} end}})"
        )

    def offers_action(self, title: str) -> bool:
        return title in self._titles()

    def type_line_above(self, text: str) -> None:
        self.keys(f"O<Esc>0C{text.replace('<', '<lt>')}<Esc>")

    def text(self) -> str:
        lines = self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)")
        return "".join(f"{line}\n" for line in lines)

    def undo(self) -> None:
        self.keys("u")

    def progress(self) -> str:
        return self.lua("return require('whet').statusline()").removeprefix("Whet ")

    def offer(self) -> str:
        run = self.lua("return require('whet.runs').offers()[1] or vim.NIL")
        return run["best"]["label"] if run else ""

    def problems(self) -> list[str]:
        return [found["message"] for found in self.lua("return vim.diagnostic.get(0)")]

    def accept(self) -> None:
        self.keys(":WhetAccept<CR>")

    def cancel(self) -> None:
        self.keys(":WhetCancel<CR>")

    def show_diff(self) -> tuple[str, str]:
        self.keys(":WhetDiff<CR>")
        two = "return #vim.tbl_filter(function(w) return vim.wo[w].diff end, vim.api.nvim_list_wins()) == 2"
        wait_until("both windows are in diff mode", lambda: self.lua(two), timeout_s=10)
        mine = self.text()
        self.keys("<C-w>h")
        theirs = self.text()
        self.keys(":q<CR>")
        wait_until("the comparison ends", lambda: not self.lua("return vim.wo.diff"), timeout_s=10)
        return theirs, mine

    def messages(self) -> str:
        return self.lua("return vim.fn.execute('messages')")

    def kill(self) -> dict[int, str]:
        started = processes.commands_of(processes.descendants(self._process.pid))
        self._process.kill()
        self._process.wait()
        return started

    def leave_traces(self, folder: Path) -> None:
        self._log.flush()
        (folder / "nvim.log").write_bytes(Path(self._log.name).read_bytes())
        if self._process.poll() is None:
            (folder / "messages.txt").write_text(self.messages(), "utf-8")
            (folder / "buffer.py").write_text(self.text(), "utf-8")
            log = Path(
                self.lua(
                    "return vim.lsp.get_log_path and vim.lsp.get_log_path() or vim.lsp.log.get_filename()"
                )
            )
            if log.exists():
                (folder / "lsp.log").write_bytes(log.read_bytes())

    def close(self) -> None:
        processes.end(self._process)
        self._log.close()

    def keys(self, keys: str) -> None:
        """Typed as by a person, in `:help key-notation`."""
        self._remote("--remote-send", keys)

    def lua(self, chunk: str) -> Any:
        """The value of a Lua chunk. A person has the same through `:lua`."""
        answer = self._remote(
            "--remote-expr", f"json_encode(luaeval({_vim_string(f'(function() {chunk} end)()')}))"
        )
        return json.loads(answer)

    def _attached(self) -> bool:
        ready = "local c = vim.lsp.get_clients({name = 'whet', bufnr = 0})[1] return c ~= nil and c.initialized == true"
        return self.lua(ready)

    def _titles(self) -> list[str]:
        """What `vim.lsp.buf.code_action()` would list at the cursor."""
        return self.lua(
            "local c = vim.lsp.get_clients({name = 'whet', bufnr = 0})[1]"
            " local p = vim.lsp.util.make_range_params(0, c.offset_encoding)"
            " p.context = {diagnostics = {}, triggerKind = 1}"
            " local answers = vim.lsp.buf_request_sync(0, 'textDocument/codeAction', p, 5000)"
            " local answer = (answers or {})[c.id] or {}"
            " return vim.tbl_map(function(a) return a.title end, answer.result or {})"
        )

    def _remote(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._nvim(), "--headless", "-u", "NONE", "--server", str(self._socket), *arguments],
            env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        # Neovim 0.10 prints the value of an expression to its standard error.
        return done.stdout or done.stderr

    def _nvim(self) -> list[str]:
        libraries = f"{self._root}/usr/lib/x86_64-linux-gnu:{self._root}/lib/x86_64-linux-gnu"
        loader = f"{self._root}/lib64/ld-linux-x86-64.so.2"
        return [loader, "--library-path", libraries, f"{self._root}/usr/bin/nvim"]


def _init_lua(project: Project, options: Mapping[str, Any]) -> str:
    """What the README tells a user to write."""
    given = json.dumps({"cmd": project.server_command, "init_options": dict(options)})
    return "\n".join([
        f"vim.opt.runtimepath:append({json.dumps(str(PLUGIN))})",
        f"vim.g.whet = vim.json.decode({_lua_string(given)})",
        "vim.o.swapfile = false",
        "if vim.fn.has('nvim-0.11') == 1 then vim.lsp.enable('whet') end",
        "",
    ])  # fmt: skip


def _lua_string(text: str) -> str:
    assert "]==]" not in text
    return f"[==[{text}]==]"


def _vim_string(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
