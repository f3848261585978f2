"""The rule by which claims are decided, each criterion by hand, and the table of claims."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qecforge.contracts import Claim
from qecforge.reporting.html import html_page
from qecforge.reporting.spread import Spread
from qecforge.reporting.tables import percent, to_csv, to_json, to_markdown, to_text
from qecforge.reproduction import Held, above, at_least, at_most, mean_at_least, mean_at_most, mean_within
from qecforge.reproduction.claims import claims_table


def over(low, mean, high, seeds=3):
    return Spread(mean, 0.1, low, high, seeds)


@pytest.mark.parametrize(
    ("criterion", "ours", "holds"),
    [
        (at_least(0.9), over(0.9, 0.95, 1.0), True),
        (at_least(0.9), over(0.89, 0.95, 1.0), None),
        (at_least(0.9), over(0.7, 0.8, 0.9), None),
        (at_least(0.9), over(0.7, 0.8, 0.89), False),
        (at_least(0.9), over(1.0, 1.0, 1.0, seeds=1), None),
        (at_most(0.1), over(0.0, 0.05, 0.1), True),
        (at_most(0.1), over(0.05, 0.08, 0.2), None),
        (at_most(0.1), over(0.1, 0.2, 0.3), None),
        (at_most(0.1), over(0.11, 0.2, 0.3), False),
        (at_most(0.1), over(0.0, 0.0, 0.0, seeds=1), None),
        (above(0), over(0.01, 0.1, 0.2), True),
        (above(0), over(0.0, 0.1, 0.2), False),
        (above(0), over(-0.1, 0.1, 0.2), False),
        (above(0), over(-0.3, -0.2, -0.1), False),
        (above(0), over(0.1, 0.1, 0.1, seeds=1), None),
        (mean_at_most(130), over(90, 130, 200), True),
        (mean_at_most(130), over(90, 131, 200), False),
        (mean_at_most(130), over(120, 120, 120, seeds=1), True),
        (mean_at_least(130), over(90, 130, 200), True),
        (mean_at_least(130), over(90, 129, 200), False),
        (mean_at_least(130), over(129, 129, 129, seeds=1), False),
        (mean_within(2, 0.25), over(0, 1.5, 9), True),
        (mean_within(2, 0.25), over(0, 2.5, 9), True),
        (mean_within(2, 0.25), over(2, 2.51, 2.6), False),
        (mean_within(2, 0.25), over(1, 1.49, 2), False),
        (mean_within(-2, 0.25), over(-3, -2.4, 0), True),
        (mean_within(2, 0.25), over(2, 2, 2, seeds=1), True),
    ],
)
def test_verdicts(criterion, ours, holds):
    assert criterion.holds(ours) is holds


def test_a_verdict_follows_students_interval():
    """Of 0.95 and 0.97 it is 0.96 +- 12.7062 * 0.01."""
    ours = Spread.student([0.95, 0.97])
    assert (ours.low, ours.high) == pytest.approx((0.96 - 0.127062, 0.96 + 0.127062), abs=1e-6)
    assert at_least(0.832).holds(ours) is True
    assert at_least(0.834).holds(ours) is None
    assert at_least(1.088).holds(ours) is False


numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=3, max_size=3).map(sorted), numbers)
def test_what_both_sides_claim_is_contradictory(ends, bound):
    """Where "at least" holds with room, "at most" does not, and the other way round; both decide the same cases."""
    ours = over(*ends)
    least, most = at_least(bound).holds(ours), at_most(bound).holds(ours)
    if ours.low != bound != ours.high:
        assert most is (None if least is None else not least)
    assert above(bound).holds(ours) is (ours.low > bound)


def test_criteria_say_what_they_ask():
    assert at_least(0.986, percent).text == "interval at least 98.6 %"
    assert at_most(0.1).text == "interval at most 0.1"
    assert above(0).text == "interval above 0"
    assert mean_at_most(1000).text == "at most 1,000"
    assert mean_at_least(1 / 150, "at least 1/150").text == "at least 1/150"
    assert mean_within(3, 0.25).text == "within 25% of 3"


def test_a_criterion_of_ones_own_is_decided_by_the_same_rule():
    """No growth: the whole interval near 0, ruled out where it leaves 0 on one side."""
    flat = Held("flat", lambda low, high: max(-low, high) <= 0.2, lambda low, high: not low <= 0 <= high, seeds=1)
    assert flat.holds(over(-0.1, 0, 0.2)) is True
    assert flat.holds(over(-0.3, 0, 0.2)) is None
    assert flat.holds(over(0.1, 0.2, 0.3)) is False
    assert flat.holds(over(0.1, 0.1, 0.1, seeds=1)) is True


CLAIMS = [
    Claim(
        part="e1",
        text="top-1 at least 98.6 %",
        theirs="98.6 %",
        ours=over(0.987, 0.99, 0.993),
        criterion=at_least(0.986, percent),
        show=percent,
    ),
    Claim(part="e2", text="faster, times", ours=Spread(1.5, math.nan, 1.5, 1.5, 1), criterion=above(1)),
    Claim(part="e2", text="smaller | lighter", ours=None, criterion=above(1), note="not reached (2 of 2 seeds)"),
]


def test_a_claim_without_a_number_is_not_decided():
    assert [claim.holds for claim in CLAIMS] == [True, None, None]


def test_one_table_in_every_form():
    table = claims_table(CLAIMS)
    assert to_markdown(table).splitlines()[2:] == [
        "| e1 | top-1 at least 98.6 % | 98.6 % | 99.0 % ± 10.0 % [98.7 %, 99.3 %] | 3 | interval at least 98.6 % | "
        "yes |  |",
        "| e2 | faster, times |  | 1.5 | 1 | interval above 1 | not decided |  |",
        "| e2 | smaller \\| lighter |  |  |  | interval above 1 | not decided | not reached (2 of 2 seeds) |",
    ]
    rows = json.loads(to_json(table))
    assert [row["holds"] for row in rows] == [True, None, None]
    assert rows[0]["value"] == {"mean": 0.99, "std": 0.1, "low": 0.987, "high": 0.993, "seeds": 3}
    assert rows[1]["value"]["std"] is None
    assert (rows[2]["value"], rows[2]["seeds"]) == (None, None)
    header, *lines = to_csv(table).splitlines()
    assert header == "part,claim,theirs,ours,seeds,criterion,holds,note,value"
    assert len(lines) == 3
    assert "not decided" in to_text(table)
    assert "<td>interval at least 98.6 %</td>" in html_page("t", {"claims": table}, {})
