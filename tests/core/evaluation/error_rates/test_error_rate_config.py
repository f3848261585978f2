from __future__ import annotations

import pytest
from pydantic import ValidationError

from qecforge.evaluation import LogicalErrorRateConfig


def test_the_manifests_example_validates():
    config = LogicalErrorRateConfig.model_validate(
        {"noise": "depolarizing", "p": {"log_space": [1e-4, 3e-3, 10]}, "shots": 100_000, "decoder": "auto"}
    )
    assert len(config.strengths) == 10
    assert (config.strengths[0], config.strengths[-1]) == (1e-4, 3e-3)
    ratios = {round(b / a, 9) for a, b in zip(config.strengths, config.strengths[1:], strict=False)}
    assert len(ratios) == 1


def test_linear_space_and_lists():
    config = LogicalErrorRateConfig.model_validate({"p": {"linear_space": [0.1, 0.2, 3]}})
    assert config.strengths == pytest.approx((0.1, 0.15, 0.2))
    assert LogicalErrorRateConfig.model_validate({"p": [0.2, 0.1]}).strengths == (0.2, 0.1)


def test_every_field_is_described_and_the_config_round_trips():
    for name, field in LogicalErrorRateConfig.model_fields.items():
        assert field.description, name
    config = LogicalErrorRateConfig.model_validate({"noise": {"model": "biased", "eta": 3}, "p": [0.1]})
    assert LogicalErrorRateConfig.model_validate(config.model_dump(mode="json")) == config
    assert LogicalErrorRateConfig.model_validate_json(config.model_dump_json()) == config


def test_choices_of_generators_and_order_are_in_the_canonical_form_only_where_made():
    """Runs from before there were choices keep their identity."""
    said = LogicalErrorRateConfig.model_validate({"p": [0.1]}).model_dump(mode="json")
    assert not {"generators", "order"} & set(said)
    chosen = LogicalErrorRateConfig.model_validate({"p": [0.1], "generators": "given", "order": [[1, 0]]})
    assert {"generators": "given", "order": [[1, 0]]}.items() <= chosen.model_dump(mode="json").items()
    assert LogicalErrorRateConfig.model_validate(chosen.model_dump(mode="json")) == chosen


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"order": [[0, 1]]}, "add generators: given"),
        ({"order": "descending"}, "'auto' or 'ascending'"),
        ({"p": []}, "at least 1"),
        ({"p": [0.1, 0.1]}, "same value twice"),
        ({"p": [0.0]}, "greater than 0"),
        ({"p": [1.5]}, "less than or equal to 1"),
        ({"p": {"log_space": [0.1, 0.01, 4]}}, "low < high"),
        ({"p": {"log_space": [0.01, 0.1, 1]}}, "greater than or equal to 2"),
        ({"p": {"log_space": [0.01, 0.1]}}, "log_space"),
        ({"p": {"geometric": [0.01, 0.1, 3]}}, "geometric"),
        ({"shots": 0}, "greater than or equal to 1"),
        ({"shots": 1000, "max_errors": 10, "max_shots": 10}, "raise max_shots"),
        ({"decoder": "mwpm"}, "pymatching"),
        ({"extraction": "steane"}, "bare"),
        ({"rounds": 0}, "greater than or equal to 1"),
        ({"shot": 10}, "shot"),
        ({"noise": {"model": "depolarizing", "measurement": 30}, "p": [0.1]}, "lower p"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        LogicalErrorRateConfig.model_validate(values)
