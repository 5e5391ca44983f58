"""A real terminal, as whoever is at it sees it: tmux draws what the program writes, and tells what stands on the screen."""

import os
import re
import shlex
import subprocess
import tempfile

from lab.process import wait_for
from lab.program import executable


class Screen:
    """A program of the build on a terminal of `columns` by `rows`. `lines()` is what is to be seen now. With `shell` an
    interactive shell starts it, which takes the terminal back when it is stopped."""

    def __init__(self, sandbox, program, *arguments, columns=80, rows=24, env=None, shell=False):
        self.sandbox, self.columns, self.rows = sandbox, columns, rows
        self.socket = os.path.join(tempfile.mkdtemp(prefix="runbook-tmux-"), "s")   # a socket's path is short
        command = shlex.join([executable(program), *map(str, arguments)])
        whole = "bash --norc -i" if shell else f"{command}; echo \"ended with $?\"; stty -a; exec sleep 1000"
        environment = {**sandbox.env, "TERM": "xterm-256color", **(env or {})}
        subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                        "-c", sandbox.folder, whole],
                       env=environment, check=True, cwd=sandbox.folder)
        self.tmux("set-option", "-g", "status", "off")
        self.resize(columns, rows)
        if shell:
            self.answer(command)

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], check=True, capture_output=True, text=True,
                              env=self.sandbox.env).stdout

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self):
        """The lines that are in view, from the top; empty ones at the end are left out."""
        return self.tmux("capture-pane", "-p").rstrip("\n").split("\n")

    @property
    def text(self):
        return "\n".join(self.lines())

    def history(self):
        """All that was shown, what has scrolled away included, as text; a line that went over the edge is one."""
        return re.sub(r" +$", "", self.tmux("capture-pane", "-p", "-J", "-S", "-"), flags=re.M)

    def wait_for(self, pattern, seconds=60):
        """Until the regular expression is in view; the text in view then."""
        seen = []

        def there():
            seen[:] = [self.text]
            return re.search(pattern, seen[0])
        try:
            wait_for(there, repr(pattern), seconds)
        except AssertionError as never:
            raise AssertionError(f"{never}\n{seen[0]}") from None
        return seen[0]

    def at_question(self, pattern=r"yes or no\? "):
        """Until somebody is asked, in view and as the last line; the text in view."""
        text = self.wait_for(pattern)
        assert re.search(pattern, text.split("\n")[-1]), text
        return text

    def type(self, text):
        """Keys without an end of the line."""
        self.tmux("send-keys", "-l", text)

    def key(self, name):
        """A key by tmux' name: Enter, C-c, C-z, BSpace, Left."""
        self.tmux("send-keys", name)

    def answer(self, text):
        self.type(text)
        self.key("Enter")

    def ended(self, seconds=60):
        """Waits for the program's end: its exit code. The terminal is as it was before."""
        def there():
            return re.search(r"ended with (\d+)\n(.|\n)*\b(-?)icanon(.|\n)* (-?)echo ", self.history())
        try:
            found = wait_for(there, "its end", seconds)
        except AssertionError as never:
            raise AssertionError(f"{never}\n{self.text}") from None
        assert found[3] == found[5] == "", self.text
        return int(found[1])

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)
        os.path.exists(self.socket) and os.unlink(self.socket)
        os.rmdir(os.path.dirname(self.socket))
