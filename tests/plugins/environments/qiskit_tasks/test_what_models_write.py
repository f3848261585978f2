"""`program_of` on what models write, seen from an evaluation: every form gives the same function."""

import textwrap

import pytest

from qecforge_qiskit_tasks.completions import program_of
from qecforge_qiskit_tasks.tasks import Task

PROMPT = 'from math import pi\n\n\ndef scale(a, b=2):\n    """a * b + pi, rounded."""\n'
BODY = "    total = 0\n    for _ in range(b):\n        total += a\n    return round(total + pi)\n"
WHOLE = PROMPT + BODY
FUNCTION = WHOLE.partition("\n\n\n")[2]
TASK = Task(
    id="t", prompt=PROMPT, hard_prompt="Write scale(a, b=2).", entry_point="scale", reference=WHOLE,
    tests="def test_a(program):\n    pass\n",
)  # fmt: skip
LEFT = textwrap.dedent(BODY)

STANDARD = {
    "the body": BODY,
    "the body with a blank line before": "\n" + BODY,
    "the body without indentation": LEFT,
    "the first line without indentation": LEFT.partition("\n")[0] + "\n" + BODY.partition("\n")[2],
    "the body in tabs": BODY.replace("    ", "\t"),
    "the body in two blanks": "  total = 0\n  for _ in range(b):\n    total += a\n  return round(total + pi)\n",
    "the body with other line ends": BODY.replace("\n", "\r\n"),
    "the body in a fence": f"```python\n{BODY}```",
    "the body in a fence, at the left": f"```python\n{LEFT}```",
    "the body and prose": BODY + "\nThis function multiplies by adding.\n",
    "the whole program": WHOLE,
    "the function alone": FUNCTION,
    "a fence": f"```python\n{WHOLE}```",
    "a fence named py": f"```py\n{WHOLE}```",
    "a fence named Python3": f"```Python3\n{WHOLE}```",
    "a fence without name": f"```\n{WHOLE}```",
    "a fence of tildes": f"~~~python\n{WHOLE}~~~",
    "a fence that is not closed": f"```python\n{WHOLE}",
    "a fence that is only closed": f"{WHOLE}```",
    "prose around a fence": f"Here is the program:\n\n```python\n{WHOLE}```\n\nIt adds `a` b times.",
    "Here is, without a fence": f"Here is the program:\n\n{WHOLE}",
    "Sure, the function": f"Sure! Here's the function you asked for.\n\n{FUNCTION}\nHope this helps!",
    "imports and function in two fences": f"First:\n```python\nimport math\n```\nThen:\n```python\n{FUNCTION}```",
    "a fence to install and one to run": f"```bash\npip install qiskit\n```\n```python\n{WHOLE}```",
    "a fence and an example": f"```python\n{WHOLE}```\nUse:\n```python\nprint(scale(1))\n```",
    "a first try and the last": f"```python\ndef scale(a, b=2):\n    return 0\n```\nBetter:\n```python\n{WHOLE}```",
    "a fence in a list": "1. Do this:\n\n" + textwrap.indent(f"```python\n{WHOLE}```", "   "),
    "thoughts before": f"<think>\nI could write def scale(a): pass\n```python\nnot this\n```\n</think>\n{WHOLE}",
    "thoughts before the body": f"<think>Add it up.</think>\n{BODY}",
    "thoughts that began in the template": f"Add it up.</think>\n```python\n{WHOLE}```",
    "a mark of the end": f"{BODY}<|im_end|>",
    "an indented program": textwrap.indent(WHOLE, "    "),
    "a call at the end": f"{WHOLE}\n\nif __name__ == '__main__':\n    print(scale(1))\n",
}
HARD = {name: text for name, text in STANDARD.items() if "def scale" in text.rpartition("</think>")[2]}


def value(program):
    space = {"__name__": "program"}
    exec(compile(program, "program", "exec"), space)
    return space["scale"](3, 5)


@pytest.mark.parametrize("name", STANDARD)
def test_after_the_standard_prompt(name):
    assert value(program_of(TASK, STANDARD[name], "standard")) == 18


@pytest.mark.parametrize("name", HARD)
def test_after_the_hard_prompt(name):
    """Nothing is added there: what is not imported is missing."""
    text = HARD[name] if "from math import pi" in HARD[name] else HARD[name].replace("+ pi)", "+ 3.1416)")
    assert value(program_of(TASK, text, "hard")) == 18


@pytest.mark.parametrize(
    "line",
    [
        "return round(a * b + pi)",
        "return a * b + 3",
        "return a*b + 3",
        "return (a * b) + 3",
        "a = a * b; return a + 3",
        "return int(a * b + 3) if a else 0",
        "return {True: a * b + 3}[True]",
        "return -(-a * b) + 3",
    ],
)
@pytest.mark.parametrize("form", ["{}", "    {}", "\t{}", "```python\n{}\n```", "```python\n    {}\n```", " {}\n"])
def test_bodies_of_one_line(line, form):
    assert value(program_of(TASK, form.format(line), "standard")) == 18


@pytest.mark.parametrize("text", ["", " \n", "```python\n```", "<think>nothing</think>", "I cannot do this.", "\n\n\n"])
def test_where_there_is_no_program(text):
    assert program_of(TASK, text, "hard").strip() == ""


@pytest.mark.parametrize("text", ["\x00", "\ud800", "(" * 100_000, "```" * 10_000, "\t" * 100_000, "x" * (9 << 20)])
@pytest.mark.parametrize("kind", ["standard", "hard"])
def test_hostile_texts_raise_nothing(text, kind):
    assert isinstance(program_of(TASK, text, kind), str)
