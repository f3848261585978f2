"""Mutants: which ones there are of a program, by hand."""

import ast

import pytest

from qecforge_qiskit_tasks.checking.mutants import KINDS, empty_program, mutants_of

HEADER = "from qiskit import QuantumCircuit\n\n\n"


def changes(body, parameters="", kind=None):
    source = f"{HEADER}def f({parameters}):\n" + "".join(f"    {line}\n" for line in body.split("; "))
    return [each.change for each in mutants_of(source, "f") if kind is None or each.kind == kind]


def test_a_gate_is_exchanged_dropped_and_put_on_other_qubits():
    assert changes("qc.cx(0, 1)") == [
        "qc.cx(0, 1) -> dropped",
        "qc.cx(0, 1) -> qc.cz(0, 1)",
        "qc.cx(0, 1) -> qc.cx(1, 0)",
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("qc.cz(0, 1)", []),
        ("qc.ccx(0, 1, 2)", ["qc.ccx(0, 1, 2) -> qc.ccx(0, 2, 1)"]),
        ("qc.h(0)", ["qc.h(0) -> qc.h(1)"]),
        ("qc.append(gate, [2, 0])", ["qc.append(gate, [2, 0]) -> qc.append(gate, [0, 2])"]),
        ("qc.mcx([0, 1], 2)", ["qc.mcx([0, 1], 2) -> qc.mcx([0], 2)"]),
        ("qc.measure(0, 0)", ["qc.measure(0, 0) -> qc.measure(1, 0)"]),
        ("qc.measure(0, 1)", ["qc.measure(0, 1) -> qc.measure(1, 0)"]),
    ],
)
def test_the_order_of_qubits_is_changed_where_it_matters(body, expected):
    assert changes(body, kind="qubit") == expected


@pytest.mark.parametrize(
    ("angle", "expected"),
    [
        ("theta", ["-theta", "theta / 2"]),
        ("pi", ["pi / 2"]),
        ("-pi / 2", ["pi / 2", "-pi / 2 / 2"]),
        ("0", ["0.5"]),
        ("0.3", ["-0.3", "0.3 / 2"]),
    ],
)
def test_angles_have_another_sign_and_half_their_size(angle, expected):
    assert changes(f"qc.ry({angle}, 0)", kind="angle") == [
        f"qc.ry({angle}, 0) -> qc.ry({each}, 0)" for each in expected
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", ["4"]),
        ("1024", ["512"]),
        ("True", ["False"]),
        ("0.5", ["0.75"]),
        ("1e-9", []),
        ("'IXZ'", ["'IYZ'", "'ZXI'"]),
        ("'01'", ["'11'", "'10'"]),
        ("'text'", []),
        ("2j", ["-2j"]),
        ("[1, 2, 3, 4, 5]", ["[2, 2, 3, 4, 5]", "[1, 2, 3, 4, 6]"]),
    ],
)
def test_constants(value, expected):
    found = [each.partition(" -> ")[2] for each in changes(f"return {value}", kind="constant")]
    assert found == [f"return {each}" for each in expected]


def test_seeds_names_and_what_is_printed_are_left_alone():
    assert changes("run(qc, seed=7, label='01'); print(3); rng = default_rng(5)", kind="constant") == [
        "print(3) -> print(4)"
    ]
    assert "print(3) -> dropped" not in changes("print(3); x = 1")


def test_operators():
    assert changes("return a @ b if a + 1 <= b else -a", kind="operator") == [
        "return a @ b if a + 1 <= b else -a -> return a @ b if a + 1 < b else -a",
        "return a @ b if a + 1 <= b else -a -> return a @ b if a - 1 <= b else -a",
        "return a @ b if a + 1 <= b else -a -> return b @ a if a + 1 <= b else -a",
        "return a @ b if a + 1 <= b else -a -> return a @ b if a + 1 <= b else a",
    ]


def test_only_what_leaves_a_program_is_dropped():
    """Without the first assignment there is no name; the second one can go, and a parameter's too."""
    assert changes("a = 1; a = b; n = n % 2; return a", "n", "dropped statement") == [
        "a = b -> dropped",
        "n = n % 2 -> dropped",
    ]


def test_the_only_statement_of_a_block_becomes_pass():
    source = f"{HEADER}def f(qc):\n    for i in range(2):\n        qc.h(i)\n"
    dropped = next(each for each in mutants_of(source, "f") if each.change == "qc.h(i) -> dropped")
    assert dropped.source == f"{HEADER.strip()}\n\ndef f(qc):\n    for i in range(2):\n        pass"
    assert dropped.line == 6


def run(source, *calls):
    names = {}
    exec(source, names)
    return [names["f"](*each) for each in calls]


def test_a_parameter_is_ignored_from_its_second_value_on():
    source = "def f(a, b):\n    '''Sum.'''\n    return a + b\n"
    by_change = {each.change: each for each in mutants_of(source, "f")}
    assert run(by_change["parameter a -> its first value"].source, (1, 2), (5, 3)) == [3, 4]
    assert run(by_change["parameter b -> its first value"].source, (1, 2), (5, 3)) == [3, 7]
    assert run(by_change["f -> its first answer"].source, (1, 2), (5, 3)) == [3, 3]
    assert [each.kind for each in mutants_of(source, "f")][-3:] == [*["ignored parameter"] * 2, "early constant"]


def test_a_constant_of_the_type_that_is_returned_comes_early():
    source = "def f() -> bool:\n    return g()\n"
    assert [(each.change, run(each.source, ())) for each in mutants_of(source, "f")] == [
        ("f -> return False", [False]),
        ("f -> return True", [True]),
    ]


PROGRAM = (
    HEADER
    + '''def f(n: int, theta=0.5) -> QuantumCircuit:
    """Layers of rotations."""
    qc = QuantumCircuit(n)
    for q in range(n):
        qc.ry(theta * 2, q)
        if q > 0:
            qc.cx(q - 1, q)
    qc.h(0)
    qc.h(0)
    return qc
'''
)


def test_they_are_the_same_each_time_differ_and_can_be_named():
    found = mutants_of(PROGRAM, "f")
    assert found == mutants_of(PROGRAM, "f")
    trees = [ast.dump(ast.parse(each.source)) for each in found]
    assert len(set(trees)) == len(trees)
    assert ast.dump(ast.parse(PROGRAM)) not in trees
    assert len({each.change for each in found}) == len(found)
    assert {each.kind for each in found} == set(KINDS)
    # Either of two equal statements in a row dropped is the same program; exchanged, they are two.
    assert [each.change for each in found if "h(0) ->" in each.change] == [
        "qc.h(0) -> dropped",
        "qc.h(0) -> qc.x(0)",
        "qc.h(0) -> qc.h(1)",
        "qc.h(0) -> qc.x(0) #2",
        "qc.h(0) -> qc.h(1) #2",
    ]


def test_layout_and_docstrings_make_no_difference():
    other = (
        PROGRAM.replace("theta * 2", "(theta*2)").replace("Layers", "Other").replace("qc.h(0)\n", "qc.h(0)  # one\n")
    )
    assert [each.change for each in mutants_of(other, "f")] == [each.change for each in mutants_of(PROGRAM, "f")]


def test_a_bound_takes_of_every_kind():
    found = mutants_of(PROGRAM, "f", most=8)
    assert {each.kind for each in found} == set(KINDS)
    everything = mutants_of(PROGRAM, "f")
    assert [each for each in everything if each in found] == found


def test_the_empty_program_has_the_signature_alone():
    assert empty_program(PROGRAM, "f").endswith("def f(n: int, theta=0.5) -> QuantumCircuit:\n    pass")
