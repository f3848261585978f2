"""The program in what a model said."""

import pytest

from qecforge_qiskit_tasks import Task, program_of

TASK = Task(
    id="t",
    prompt='import math\n\n\ndef f(x):\n    """Twice the root."""\n',
    hard_prompt="Write f(x), twice the root of x.",
    entry_point="f",
    reference="import math\n\n\ndef f(x):\n    return 2 * math.sqrt(x)\n",
    tests="def test_f(program):\n    assert program.f(4) == 4\n",
)
BODY = "    y = math.sqrt(x)\n    if y > 1:\n        y = y + 0\n    return 2 * y\n"
WHOLE = "def f(x):\n" + BODY
DEDENTED = "y = math.sqrt(x)\nif y > 1:\n    y = y + 0\nreturn 2 * y"


def value(source):
    names = {}
    exec(source, names)
    return names["f"](4)


@pytest.mark.parametrize(
    "completion",
    [
        BODY,
        BODY.strip(),
        "\n\n" + BODY,
        DEDENTED,
        "  " + DEDENTED.replace("\n", "\n  "),
        " " + BODY.strip(),
        BODY.replace("    ", "\t"),
        BODY.replace("\n", "\r\n"),
        "for _ in range(1):\n    pass\nreturn 2 * math.sqrt(x)",
        "for _ in range(1):\n        pass\n    return 2 * math.sqrt(x)",
        WHOLE,
        "import math\n\n" + WHOLE,
        "TWO = 2\n\n\n" + WHOLE.replace("2 *", "TWO *"),
        f"```python\n{WHOLE}```",
        f"```\n{BODY}```",
        f"```py\n{DEDENTED}\n```\nThis works because of the root.",
        f"Sure, here it is:\n\n```python\n{WHOLE}```\nAnd how to call it:\n```python\nprint(f(4))\n```",
        f"First a helper:\n```python\ndef g():\n    return 1\n```\nThen:\n```python\n{WHOLE}```",
        f"```python\n{WHOLE}",
        f"~~~python\n{WHOLE}~~~",
        "1. Like this:\n\n   ```python\n" + "".join(f"   {line}\n" for line in WHOLE.splitlines()) + "   ```\n",
        f"<think>maybe\n```python\nwrong\n```\n</think>\n{WHOLE}",
        f"{BODY}<|im_end|>",
        BODY + "\nThis function gives twice the root of x.\n",
    ],
)
def test_the_standard_prompt_is_continued(completion):
    assert value(program_of(TASK, completion)) == 4, completion


@pytest.mark.parametrize(
    "completion",
    [
        "import math\n\n" + WHOLE,
        "Here is the program.\n\nimport math\n\n" + WHOLE + "\nIt gives twice the root.",
        f"```python\nimport math\n\n{WHOLE}```",
    ],
)
def test_the_hard_prompt_is_answered_by_a_program(completion):
    assert value(program_of(TASK, completion, "hard")) == 4


@pytest.mark.parametrize("completion", ["", " \n\t\n", "```python\n```", "```python"])
def test_where_there_is_no_code_there_is_no_program(completion):
    assert program_of(TASK, completion).strip() == ""
    assert program_of(TASK, completion, "hard").strip() == ""


def test_prose_is_no_program():
    assert program_of(TASK, "I am sorry, I cannot do that.", "hard") == ""


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10**6,
        "\n" * 10**6,
        " " * 10**6,
        "`" * 10**6,
        "```\n" * 200_000,
        "(" * 10**6,
        "a=" * 500_000,
        "a.b" * 300_000,
        "'''" * 300_000,
        "a,b " * 200_000,
        "x = 1\n" + "?\n" * 400_000 + "def g(): pass\n",
        "def f(x):\n    return 1\n" + "?\n" * 400_000 + "def g(): pass\n",
        " \n" * 500_000,
        "```\nimport x\n```\n" * 50_000,
        "</think>" * 120_000,
        "    x\n" * 160_000,
    ],
)
@pytest.mark.timeout(200)
def test_a_long_text_is_read_in_one_go(text):
    """An expression that is not linear in the text would take hours here; what is found is at most the text."""
    for kind in ("standard", "hard"):
        assert len(program_of(TASK, text, kind)) <= len(TASK.prompt) + 5 * len(text) + 10


def test_a_huge_completion_is_not_looked_into():
    text = "x" * (100 << 20)
    assert program_of(TASK, text) is text
