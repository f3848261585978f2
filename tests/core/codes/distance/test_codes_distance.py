import math
import random

import numpy as np
import pytest
import stim
from codes_reference import all_logicals, brute_force_distance, codes, is_logical
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode, css_distances, find_distance, known_codes, singleton_bound
from qecforge.codes._pauli import format_row
from qecforge.codes.distance import _meet_in_the_middle as mitm
from qecforge.codes.distance._integer_programme import minimise
from qecforge.codes.distance._random_search import find_light_operator
from qecforge.codes.distance._search_space import search_spaces
from qecforge.errors import CodeError, ConfigurationError

METHODS = ("auto", "enumerator", "meet_in_the_middle", "integer_programme")


def weight(pauli):
    return len(pauli) - pauli.count("I")


def assert_proved(code, found, value):
    assert (found.value, found.kind, found.lower, found.upper) == (value, "exact", value, value)
    assert found.seconds >= 0
    assert weight(found.witness) == value
    assert is_logical(code, found.witness)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=40)
@given(code=codes(max_qubits=5) | codes(max_qubits=5, css=True))
def test_every_method_against_all_paulis(method, code):
    found = code.distance(method=method)
    assert_proved(code, found, brute_force_distance(code))
    assert found.method.startswith("css halves: ") == (code.css is not None)


@settings(deadline=None, max_examples=30)
@given(codes(max_qubits=5))
def test_search_is_an_upper_bound(code):
    found = code.distance(method="search")
    assert found.kind == ("exact" if found.value == 1 else "upper_bound")
    assert found.value >= brute_force_distance(code)
    assert is_logical(code, found.witness)


@pytest.mark.parametrize("seed", range(12))
def test_methods_agree_on_larger_random_codes(seed):
    rng = random.Random(seed)
    n = rng.randint(9, 14)
    k = rng.randint(0, 4)
    tableau = stim.Tableau.random(n)
    code = StabilizerCode.from_stim_tableau(tableau, k)
    value = code.distance(method="enumerator").value
    found = code.distance(method="meet_in_the_middle")
    assert_proved(code, found, value)


@settings(deadline=None, max_examples=40)
@given(codes(max_qubits=6), st.randoms(use_true_random=False), st.data())
def test_invariant_under_permutations_and_local_cliffords(code, rng, data):
    order = list(range(code.n))
    rng.shuffle(order)
    assert code.permuted(order).distance().value == code.distance().value
    local = stim.Circuit()
    for qubit in range(code.n):
        local.append(data.draw(st.sampled_from(["I", "H", "S", "SQRT_X", "C_XYZ", "C_ZYX"])), [qubit])
    rows = [stim.PauliString(row).after(local) for row in code.stabilizers]
    turned = np.array([[*row.to_numpy()[0], *row.to_numpy()[1]] for row in rows]).reshape(-1, 2 * code.n)
    assert StabilizerCode(turned).distance().value == code.distance().value


GOLDENS = [
    ("five qubits", known_codes.five_qubit, 5, 1, 3),
    ("steane", known_codes.steane, 7, 1, 3),
    ("cube", known_codes.cube, 8, 3, 2),
    ("shor", known_codes.shor, 9, 1, 3),
    ("shor 4", lambda: known_codes.shor(4), 16, 1, 4),
    ("eleven qubits", known_codes.eleven_qubit, 11, 1, 5),
    ("golay", known_codes.golay, 23, 1, 7),
    *((f"surface {d}", lambda d=d: known_codes.rotated_surface(d), d * d, 1, d) for d in (2, 3, 4, 5, 6, 7, 9)),
    ("bicycle 72", known_codes.bicycle_72, 72, 12, 6),
]


@pytest.mark.parametrize(("make", "n", "k", "d"), [golden[1:] for golden in GOLDENS], ids=[g[0] for g in GOLDENS])
def test_goldens(make, n, k, d):
    code = make()
    assert (code.n, code.k) == (n, k)
    assert_proved(code, code.distance(), d)


@pytest.mark.slow
def test_gross_code_is_exact():
    """[[144,12,12]], Bravyi et al. 2024, table 3: about a minute of processor time."""
    code = known_codes.gross()
    assert (code.n, code.k) == (144, 12)
    assert_proved(code, code.distance(budget_seconds=None, method="meet_in_the_middle"), 12)


def test_gross_code_in_two_seconds_is_a_labelled_bound():
    found = known_codes.gross().distance(budget_seconds=2.0)
    assert (found.value, found.kind) == (12, "upper_bound")
    assert 3 <= found.lower < 12
    assert is_logical(known_codes.gross(), found.witness)


def test_dodecacode_is_a_state_of_distance_six():
    """Calderbank et al. 1998: for k = 0 the distance is the smallest weight of a stabilizer."""
    adjacency = [[abs(i - j) in (1, 3, 6, 9, 11) for j in range(12)] for i in range(12)]
    code = known_codes.graph_state(adjacency)
    for method in ("enumerator", "meet_in_the_middle"):
        assert_proved(code, code.distance(method=method), 6)


def test_degeneracy_is_not_mistaken_for_an_error():
    """Shor's code has stabilizers of weight 2, below its distance."""
    code = known_codes.shor()
    assert code.weight_enumerators().A[2] == 9
    for method in METHODS:
        assert code.distance(method=method).value == 3


def test_css_halves_of_a_rectangle():
    """Shor's construction with 3 blocks of 5 qubits: X on a whole block, or one Z in each block, is logical."""
    blocks, size = 3, 5
    within = np.eye(size, dtype=int)[:-1] + np.eye(size, k=1, dtype=int)[:-1]
    between = np.eye(blocks, dtype=int)[:-1] + np.eye(blocks, k=1, dtype=int)[:-1]
    code = StabilizerCode.from_css(np.kron(between, np.ones(size, int)), np.kron(np.eye(blocks, dtype=int), within))
    halves = css_distances(code)
    assert (halves.x.value, halves.x.kind) == (5, "exact")
    assert (halves.z.value, halves.z.kind) == (3, "exact")
    assert set(halves.x.witness) == {"I", "X"}
    assert set(halves.z.witness) == {"I", "Z"}
    with pytest.raises(CodeError, match="do not generate"):
        css_distances(known_codes.five_qubit())
    with pytest.raises(CodeError, match="k is 0"):
        css_distances(StabilizerCode.from_paulis(["XX", "ZZ"]))


@settings(deadline=None, max_examples=40)
@given(codes(max_qubits=4) | codes(max_qubits=5, css=True))
def test_the_programmes_find_the_distance_without_an_operator_known_beforehand(code):
    results = [
        minimise(space, np.ones(space.n * space.letters), code.n + 1.0, math.inf, step=1)
        for space in search_spaces(code)
    ]
    assert min(result.lower for result in results) == brute_force_distance(code)
    for result in results:
        if result.operator is None:  # a half of a state that has no elements of this type
            assert (code.k, result.lower) == (0, code.n + 1)
        else:
            operator = format_row(result.operator, code.n)
            assert weight(operator) == result.lower
            assert is_logical(code, operator)


@settings(deadline=None, max_examples=40)
@given(codes(max_qubits=5) | codes(max_qubits=6, css=True), st.integers(0, 2**32))
def test_random_search_finds_logical_operators_only(code, seed):
    for space in search_spaces(code):
        operator = find_light_operator(space, 3, np.random.default_rng(seed)) if space.commuting else None
        if operator is not None:
            assert is_logical(code, format_row(operator, code.n))
            below = find_light_operator(space, 3, np.random.default_rng(seed), below=operator.bit_count())
            assert below is None or weight(format_row(below, code.n)) < operator.bit_count()
        else:
            assert code.k == 0


def test_random_search_ends_at_weight_one():
    (space,) = search_spaces(StabilizerCode.from_paulis(["XZI", "ZXI"]))
    rng, expected = np.random.default_rng(3), np.random.default_rng(3)
    assert weight(format_row(find_light_operator(space, 64, rng), 3)) == 1
    expected.permutation(3)  # one round
    assert rng.bit_generator.state == expected.bit_generator.state
    assert find_light_operator(space, 64, rng, below=1) is None
    assert rng.bit_generator.state == expected.bit_generator.state


PARTITIONED = [golden for golden in GOLDENS if 7 <= golden[2] <= 25]


@pytest.fixture
def small_tables(monkeypatch):
    """Tables of at most 16 rows, so that small codes need many partitions."""
    monkeypatch.setattr(mitm, "_TABLE_BITS", range(4, 5))
    monkeypatch.setattr(mitm, "_CALL_ERRORS", 8)
    mitm._cheapest_shape.cache_clear()
    yield
    mitm._cheapest_shape.cache_clear()


def found_by_meeting(code):
    """Smallest weight at which the two sides meet, without any operator known beforehand, and the operator."""
    rng = np.random.default_rng(0)
    for size in range(1, code.n + 1):
        for space in search_spaces(code):
            operator = mitm.find_of_weight(space, size, math.inf, rng)
            if operator is not None:
                return size, format_row(operator, code.n)
    raise AssertionError("no operator of any weight")


@settings(deadline=None)
@given(codes(max_qubits=5) | codes(max_qubits=5, css=True))
def test_the_two_sides_meet_at_the_distance(code):
    size, operator = found_by_meeting(code)
    assert size == weight(operator) == brute_force_distance(code)
    assert is_logical(code, operator)


@pytest.mark.parametrize(("make", "n", "k", "d"), [g[1:] for g in GOLDENS], ids=[g[0] for g in GOLDENS])
def test_the_two_sides_meet_at_the_goldens(make, n, k, d):
    size, operator = found_by_meeting(make())
    assert (size, weight(operator)) == (d, d)
    assert is_logical(make(), operator)


@pytest.mark.usefixtures("small_tables")
@pytest.mark.parametrize("make", [golden[1] for golden in PARTITIONED], ids=[golden[0] for golden in PARTITIONED])
def test_partitions_and_prefixes_do_not_change_the_answer(make):
    code = make()
    assert mitm._cheapest_shape(code.n, 1, 4)[2] > 1
    size, operator = found_by_meeting(code)
    assert size == code.distance().value
    assert is_logical(code, operator)
    assert_proved(code, code.distance(method="meet_in_the_middle"), size)


@pytest.mark.usefixtures("small_tables")
def test_partitions_with_every_stabilizer_counting():
    adjacency = [[abs(i - j) in (1, 3, 6, 9, 11) for j in range(12)] for i in range(12)]
    code = known_codes.graph_state(adjacency)
    size, operator = found_by_meeting(code)
    assert (size, weight(operator)) == (6, 6)
    assert code.contains(operator)


def test_colliding_hashes_cost_time_only(monkeypatch):
    """Hashes of 2 bits at first: hits that turn out false, until a proper hash is drawn."""
    proper, calls = mitm._hashed, []

    def hashed(space, rng):
        calls.append(len(calls))
        return proper(space, rng) & np.uint64(3) if len(calls) < 6 else proper(space, rng)

    monkeypatch.setattr(mitm, "_hashed", hashed)
    monkeypatch.setattr(mitm, "_TABLE_BITS", range(4, 5))
    mitm._cheapest_shape.cache_clear()
    assert_proved(known_codes.eleven_qubit(), known_codes.eleven_qubit().distance(method="meet_in_the_middle"), 5)
    assert len(calls) > 6
    mitm._cheapest_shape.cache_clear()


def test_syndromes_and_logicals_beyond_a_word():
    """Thirty-five [[4,2,2]] codes side by side: 70 checks and 140 logical bits."""
    rows = []
    for block in range(35):
        rows += ["I" * 4 * block + letter * 4 + "I" * (136 - 4 * block) for letter in "XZ"]
    code = StabilizerCode.from_paulis(rows)
    # Phase gates take the code out of its halves.
    phases = stim.Circuit("S " + " ".join(map(str, range(0, 140, 4))))
    turned = StabilizerCode.from_paulis([str(stim.PauliString(row).after(phases)).replace("_", "I") for row in rows])
    for one, css in ((code, True), (turned, False)):
        assert (one.n, one.k, one.css is not None) == (140, 70, css)
        assert_proved(one, one.distance(method="meet_in_the_middle"), 2)
        assert found_by_meeting(one)[0] == 2


def test_even_weights_are_recognised():
    """Every qubit of the bicycle codes lies in three checks of each type, so that their sum is all ones."""
    assert [space.even for space in search_spaces(known_codes.bicycle_72())] == [True, True]
    assert [space.even for space in search_spaces(known_codes.steane())] == [False, False]


def test_the_method_is_chosen_by_cost():
    assert known_codes.eleven_qubit().distance().method == "enumerator"
    assert known_codes.rotated_surface(9).distance().method == "css halves: meet_in_the_middle"


def test_estimates_rise_with_the_weight():
    space = search_spaces(known_codes.five_qubit().permuted([0, 2, 1, 4, 3]))[0]
    costs = [mitm.estimated_seconds(space, w) for w in (2, 4)]
    assert 0 < costs[0] < costs[1] < math.inf


def test_deadline_gives_bounds():
    code = known_codes.rotated_surface(9)
    for method in ("auto", "meet_in_the_middle", "integer_programme"):
        found = code.distance(method=method, budget_seconds=1e-6)
        assert found.kind == "upper_bound"
        assert 1 <= found.lower < found.value == 9


def test_same_seed_same_result():
    one, two = (find_distance(known_codes.gross(), method="search", seed=3) for _ in range(2))
    assert (one.value, one.witness) == (two.value, two.witness)


def test_refusals():
    with pytest.raises(CodeError, match=r"2\^40 stabilizers are too many"):
        known_codes.rotated_surface(9).distance(method="enumerator")
    with pytest.raises(ConfigurationError, match="'guess': expected one of auto"):
        known_codes.steane().distance(method="guess")
    with pytest.raises(ConfigurationError, match="budget_seconds is -1"):
        known_codes.steane().distance(budget_seconds=-1)


def test_singleton_bound():
    assert [singleton_bound(5, 1), singleton_bound(4, 2), singleton_bound(7, 1), singleton_bound(3, 3)] == [3, 2, 4, 1]
    for n, k in ((3, 0), (3, 4)):
        with pytest.raises(CodeError, match="expected 1 <= k <= n"):
            singleton_bound(n, k)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: known_codes.rotated_surface(1), "distance is 1; expected at least 2"),
        (lambda: known_codes.shor(0), "distance is 0"),
        (lambda: known_codes.bivariate_bicycle(0, 3, [(0, 0)], [(0, 0)]), "rows is 0"),
        (lambda: known_codes.bivariate_bicycle(2, 3, [], [(0, 0)]), "at least one monomial"),
        (lambda: known_codes.graph_state([[0, 1], [0, 0]]), "symmetric"),
    ],
)
def test_constructors_refuse(call, message):
    with pytest.raises(CodeError, match=message):
        call()


@pytest.mark.parametrize("d", [3, 5])
def test_rotated_surface_checks_and_logicals(d):
    """d - 1 checks of two qubits on the edges, the others of four, half of each type; logical X a column, Z a row."""
    code = known_codes.rotated_surface(d)
    hx, hz = code.css
    for half in (hx, hz):
        sizes = half.sum(axis=1).tolist()
        assert sizes.count(2) == d - 1
        assert sizes.count(4) == (d * d - 1) // 2 - (d - 1)
    column = "".join("X" if q % d == 0 else "I" for q in range(d * d))
    row = "Z" * d + "I" * (d * d - d)
    assert is_logical(code, column)
    assert is_logical(code, row)


def ring_of_gaps(gaps, paths):
    """A ring whose gaps are each bridged by one edge and `paths` paths of three edges: qubits are edges, X checks the
    vertices, Z checks the 4-cycles. The single edges all the way round are a logical Z; one edge of each bridge of a
    gap a logical X."""
    edges, cycles = [], []
    for gap in range(gaps):
        ends = ("ring", gap), ("ring", (gap + 1) % gaps)
        direct = len(edges)
        edges.append(ends)
        for path in range(paths):
            inner = ("a", gap, path), ("b", gap, path)
            cycles.append([direct, *range(len(edges), len(edges) + 3)])
            edges += [(ends[0], inner[0]), inner, (inner[1], ends[1])]
    vertices = sorted({vertex for edge in edges for vertex in edge}, key=str)
    hx = np.array([[vertex in edge for edge in edges] for vertex in vertices], dtype=np.uint8)
    hz = np.array([[number in cycle for number in range(len(edges))] for cycle in cycles], dtype=np.uint8)
    return StabilizerCode.from_css(hx, hz, drop_redundant=True)


@pytest.mark.parametrize("method", ["auto", "integer_programme"])
@pytest.mark.parametrize(("gaps", "paths"), [(4, 4), (6, 6), (3, 4), (4, 3), (5, 2)])
def test_bounds_from_the_other_half_leave_no_weight_unsearched(gaps, paths, method):
    """One half's weights are all even where the bound of the other is odd."""
    code = ring_of_gaps(gaps, paths)
    assert (code.n, code.k) == (gaps * (1 + 3 * paths), 1)
    found = code.distance(method=method)
    assert_proved(code, found, min(gaps, paths + 1))


def test_a_large_ring_is_no_longer_than_its_gaps():
    found = ring_of_gaps(10, 10).distance(method="integer_programme", budget_seconds=20)
    assert found.kind != "exact" or found.value == 10
    assert found.lower <= 10 <= found.upper


@pytest.mark.parametrize(("rows", "columns"), [(5, 4), (4, 5), (3, 4), (4, 3)])
@pytest.mark.parametrize("surplus", [1, 2, 3])
def test_a_half_is_minimised_below_any_bound(rows, columns, surplus):
    """Whatever the bound, and wherever it comes from, the lightest operator of the half is found."""
    for space in search_spaces(rectangle(rows, columns)):
        least = rows if space.half == "x" else columns
        step = 2 if space.even else 1
        result = minimise(space, np.ones(space.n), float(least + surplus), math.inf, step=step)
        assert result.lower == least
        assert bin(result.operator).count("1") == least


def rectangle(rows, columns):
    """The rotated surface code on a rectangle: X of weight `rows`, Z of weight `columns`."""
    n = rows * columns
    kinds = {"x": [], "z": []}
    for i in range(-1, rows):
        for j in range(-1, columns):
            cell = [(i + a, j + b) for a in (0, 1) for b in (0, 1)]
            cell = [place for place in cell if 0 <= place[0] < rows and 0 <= place[1] < columns]
            kind = "xz"[(i + j) % 2]
            on_edge = len(cell) == 2 and ((kind == "x") == (i in (-1, rows - 1)))
            if len(cell) == 4 or on_edge:
                kinds[kind].append([place[0] * columns + place[1] for place in cell])
    hx, hz = (np.array([[q in check for q in range(n)] for check in kinds[kind]], np.uint8) for kind in "xz")
    return StabilizerCode.from_css(hx, hz)


@settings(deadline=None, max_examples=60)
@given(codes(max_qubits=7, css=True, min_logical=1))
def test_every_method_agrees_with_brute_force_on_each_half(code):
    """Halves that differ in parity, in size, and in what they exclude."""
    for method in METHODS:
        halves = css_distances(code, method=method)
        whole = code.distance(method=method)
        for kind, half in (("X", halves.x), ("Z", halves.z)):
            least = min(
                (code.n - text.count("I") for text in all_logicals(code) if set(text) <= {"I", kind}), default=None
            )
            assert (half.value, half.kind) == (least, "exact")
            assert half.excluded == {kind.lower(): least - 1}
        assert min(whole.excluded.values()) + 1 == whole.value == min(halves.x.value, halves.z.value)
        assert whole.excluded["x"] < halves.x.value
        assert whole.excluded["z"] < halves.z.value
