"""The program in what a model said: out of Markdown, prose, and text that lost its indentation.

Only by its lines: Python's parser can be crashed by a text, and this is the caller's process.
"""

from __future__ import annotations

import re
import textwrap
from typing import Literal

from qecforge_qiskit_tasks.tasks.task import Task

__all__ = ["LARGEST", "PromptKind", "program_of"]

PromptKind = Literal["standard", "hard"]

LARGEST = 1 << 20
"""Characters of a completion that is looked into; a longer one is no program."""
FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n]*$", re.MULTILINE)
TOP = re.compile(r"(from\s+[\w.]+\s+import\b|import\s+\w|def\s+\w|async\s+def\s|class\s+\w|@\w)")
STATEMENT = re.compile(
    r"(from|import|def|async|class|if|elif|else|for|while|with|try|except|finally|return|raise|assert|pass|print|del|"
    r"global|nonlocal|yield|await|lambda|not|break|continue)\b"
    r"(?!\s+(?:the|a|an|this|is|it|of)\s+(?!if\b|or\b|and\b|in\b|is\b|not\b|for\b|else\b)[A-Za-z])"
    r"|[A-Za-z_][\w.]*\s*(\[[^\n]*\]\s*)?([-+*/|&^%@]|//|\*\*|>>|<<)?=(?!=)|[A-Za-z_][\w.]*\s*(:[^\n=]*)?=(?!=)"
    r"|[A-Za-z_][\w.]*\s*[(\[]|[)\]}#@\"']|[A-Za-z_]\w*\s*,\s*[A-Za-z_][\w, ]*=(?!=)"
)
SPECIAL = re.compile(r"<\|[^|>\n]{1,40}\|>|</?(?:think|answer|s)>")


def program_of(task: Task, completion: str, kind: PromptKind = "standard") -> str:
    """The whole program that a completion means; empty where there is none in it.

    Args:
        kind: Which prompt was answered. After `standard` a completion may continue the prompt, indented or not, or give
            the whole function again.
    """
    if len(completion) > LARGEST:
        return completion
    text = completion.replace("\r\n", "\n")
    text = text.rpartition("</think>")[2] if "</think>" in text else text
    text = SPECIAL.sub("", text)
    code, fenced = _unfenced(text, task.entry_point)
    whole = re.search(rf"^(async[ ]+)?def[ ]+{re.escape(task.entry_point)}\b", code, re.MULTILINE)
    if not whole and re.search(rf"^[ \t]+(async[ ]+)?def[ ]+{re.escape(task.entry_point)}\b", code, re.MULTILINE):
        dedented = textwrap.dedent(code)
        if re.search(rf"^(async[ ]+)?def[ ]+{re.escape(task.entry_point)}\b", dedented, re.MULTILINE):
            code, whole = dedented, re.match("", "")
    if kind == "hard" or whole or not task.prompt.strip():
        code = code if fenced else _without_prose(code)
        before = _before(task) if kind == "standard" and whole else ""
        return before + code if code.strip() else ""
    body = _body(code)
    return f"{task.prompt.rstrip()}\n{body}" if body.strip() else ""


def _before(task: Task) -> str:
    """What of the prompt stands before the function: imports and helpers that the completion need not repeat."""
    found = re.search(rf"^(@|(async[ ]+)?def[ ]+{re.escape(task.entry_point)}\b)", task.prompt, re.MULTILINE)
    return task.prompt[: found.start()] if found else ""


def _unfenced(text: str, entry_point: str) -> tuple[str, bool]:
    """The code of Markdown's blocks, and whether there were any: that which defines the function, with those before it
    that import or define what it needs; else the longest."""
    blocks: list[str] = []
    opened: re.Match[str] | None = None
    for fence in FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif not fence[2] and fence[1].startswith(opened[1]):
            blocks.append(text[opened.end() + 1 : fence.start()])
            opened = None
    if opened is not None:
        after = text[opened.end() + 1 :]
        if after.strip():
            blocks.append(after)
        elif not blocks:
            return text[: opened.start()], False
    if not blocks:
        return text, False
    blocks = [each for each in map(_left, blocks) if each.strip()] or [""]
    defining = [
        i for i, each in enumerate(blocks) if re.search(rf"^[ \t]*def[ ]+{re.escape(entry_point)}\b", each, re.M)
    ]
    if not defining:
        return max(blocks, key=len), True
    chosen = defining[-1]
    helpers = [each for each in blocks[:chosen] if _helps(each, entry_point)]
    return "\n".join([*helpers, blocks[chosen]]), True


def _helps(block: str, entry_point: str) -> bool:
    first = next((line for line in block.splitlines() if line.strip()), "")
    return TOP.match(first) is not None and f"def {entry_point}" not in block and "pip install" not in block


def _left(block: str) -> str:
    """A block within a list of Markdown is indented as a whole where its first line is one of the outermost level."""
    lines = block.splitlines()
    first = next((line for line in lines if line.strip()), "")
    return textwrap.dedent(block) if first[:1] in " \t" and TOP.match(first.strip()) else block


def _without_prose(code: str) -> str:
    """From the first line that begins as a program does, to the last line that may be of one."""
    lines = code.split("\n")
    start = next((i for i, line in enumerate(lines) if TOP.match(line)), None)
    if start is None:
        return code if any(STATEMENT.match(line.strip()) for line in lines if line.strip()) else ""
    while start and (not lines[start - 1].strip() or STATEMENT.match(lines[start - 1])):
        start -= 1
    return "\n".join(_until_prose(lines[start:]))


def _until_prose(lines: list[str]) -> list[str]:
    """Without the prose that follows a program: a line at the left that is no statement, and what follows."""
    quotes = ""
    goes_on = [False]  # whether a line of a program follows, from each line on
    for line in reversed(lines):
        goes_on.append(goes_on[-1] or bool(line.strip() and (line[:1] in " \t" or TOP.match(line))))
    goes_on.reverse()
    for i, line in enumerate(lines):
        outside = not quotes
        for mark in re.findall(r'"""|' + "'''", line):
            quotes = "" if quotes == mark else (quotes or mark)
        if (
            outside
            and line[:1].strip()
            and not STATEMENT.match(line)
            and (i == 0 or not lines[i - 1].rstrip().endswith("\\"))
            and not goes_on[i]
        ):
            return lines[:i]
    return lines


def _body(code: str) -> str:
    """A function's body with its indentation, whichever of it was lost."""
    lines = code.expandtabs(4).strip("\n").split("\n")
    lines = lines[next((i for i, line in enumerate(lines) if line.strip()), len(lines)) :]
    if not lines:
        return ""
    if not lines[0].startswith(" ") and not STATEMENT.match(lines[0]):
        found = next(
            (i for i, line in enumerate(lines) if line.startswith("    ") and STATEMENT.match(line.strip())), None
        )
        if found is not None:
            lines = lines[found:]
    lines = _until_prose(lines)
    if not lines:
        return ""
    first = len(lines[0]) - len(lines[0].lstrip())
    margins = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    inner = min(margins, default=4)
    if first == 0 and inner >= 4 and not (_opens(lines[0]) and margins[0] == 4):
        return "\n".join(["    " + lines[0], *lines[1:]])
    if first == 0:
        return "\n".join("    " + line if line.strip() else line for line in lines)
    if first == 4:
        return "\n".join(lines)
    if first < inner and not _opens(lines[0]):
        return "\n".join([" " * inner + lines[0].lstrip(), *lines[1:]])
    return textwrap.indent(textwrap.dedent("\n".join(lines)), "    ")


def _opens(line: str) -> bool:
    """Whether a line opens a block."""
    return line.rstrip().endswith(":")
