"""Whether what a plugin's hooks return can be used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, get_args

from qecforge.contracts.config import PluginConfig
from qecforge.contracts.environment import ActionKind, Resumes
from qecforge.contracts.options import option_of
from qecforge.contracts.reproduction import MAX_SEEDS
from qecforge.contracts.views import Reading, RunView
from qecforge.errors import PluginError, one_line
from qecforge.evaluation.built_in import BUILT_IN
from qecforge.hookspecs import (
    AgentSpec,
    EnvironmentSpec,
    EvaluationSpec,
    ListenerSpec,
    QuantizerSpec,
    ReproductionSpec,
    RewardSpec,
)

__all__ = ["KINDS", "checked_specs"]

KINDS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "environment": EnvironmentSpec,
        "reward": RewardSpec,
        "agent": AgentSpec,
        "quantizer": QuantizerSpec,
        "listener": ListenerSpec,
        "reproduction": ReproductionSpec,
    }
)
_IN_MANIFESTS = tuple(kind for kind in KINDS if kind not in ("listener", "reproduction"))
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED_NAMES = {"reward": {"native"}}
_RESERVED_EVALUATIONS = {each.name for each in BUILT_IN}
_RESERVED_FIELDS = {"quantizer": {"plugin", "teacher", "fine_tune"}}
_RESERVED_OPTIONS = {
    "debug",
    "dry_run",
    "help",
    "out",
    "quick",
    "records",
    "seeds",
    "set",
    "store",
    "tables_only",
    "workers",
}
"""Fields that would be options which every reproduction has."""


def checked_specs(hook: str, kind: str, results: list[Any]) -> Iterator[Any]:
    """The specs in a hook's results, in order. Raises `PluginError` at the first thing that is none or is not sound."""
    for result in results:
        if not isinstance(result, list | tuple):
            raise PluginError(f"{hook}() returned {_shown(result)}, expected a list of {KINDS[kind].__name__}.")
        for spec in result:
            if not isinstance(spec, KINDS[kind]):
                raise PluginError(f"{hook}() returned {_shown(spec)} in its list, expected {KINDS[kind].__name__}.")
            _check_spec(hook, kind, spec)
            yield spec


def _check_spec(hook: str, kind: str, spec: Any) -> None:
    where = f"{hook}(): {kind} {spec.name!r}"
    _check_name(where, spec.name)
    if spec.name in _RESERVED_NAMES.get(kind, ()):
        raise PluginError(f"{where}: the name is reserved. Choose another.")
    if not _one_line(spec.summary):
        raise PluginError(f"{where}: summary is {_shown(spec.summary)}, expected one line of text.")
    if isinstance(spec, ReproductionSpec):
        _check_reproduction(where, spec)
        return
    if not callable(spec.make):
        raise PluginError(f"{where}: make is {_shown(spec.make)}, expected a factory.")
    _check_config(where, spec.config, _RESERVED_FIELDS.get(kind, {"plugin"}))
    if isinstance(spec, EnvironmentSpec):
        _check_actions(where, "actions", {spec.actions})
        if not isinstance(spec.endless, bool):
            raise PluginError(f"{where}: endless is {_shown(spec.endless)}, expected True or False.")
        if spec.can_peek not in (None, True, False):
            raise PluginError(f"{where}: can_peek is {_shown(spec.can_peek)}, expected True, False or None.")
        if spec.shows is None and not spec.native_reward:
            raise PluginError(f"{where}: it shows nothing and has no native reward. Set `shows` or `native_reward`.")
        _check_evaluations(where, spec.evaluations)
        _check_view(where, spec.view)
        _check_resumes(where, spec.resumes)
        if spec.actions in ("parameters", "text") and spec.resumes != "to_the_bit":
            raise PluginError(f"{where}: resumes is {spec.resumes!r}, and it has no episodes. Set it to 'to_the_bit'.")
    elif isinstance(spec, RewardSpec):
        if not (isinstance(spec.scores, str) and spec.scores):
            raise PluginError(f"{where}: scores is {_shown(spec.scores)}, expected what environments show.")
    elif isinstance(spec, AgentSpec):
        _check_actions(where, "trains_on", spec.trains_on)
        _check_check(where, "check", spec.check)
        _check_check(where, "check_fine_tuning", spec.check_fine_tuning)
        _check_check(where, "check_quantized", spec.check_quantized)
        _check_evaluations(where, spec.evaluations)
        _check_check(where, "pin", spec.pin)
        _check_view(where, spec.view)
        _check_resumes(where, spec.resumes)
    elif isinstance(spec, QuantizerSpec):
        _check_actions(where, "quantizes", spec.quantizes)
        if "text" in spec.quantizes:
            raise PluginError(
                f"{where}: quantizes holds text: policies that answer prompts are not quantized. Remove it."
            )
        if spec.kind not in ("post_training", "training_aware", "distillation"):
            raise PluginError(
                f"{where}: kind is {spec.kind!r}, expected post_training, training_aware or distillation."
            )
        _check_check(where, "check", spec.check)
        _check_check(where, "needs_lookahead", spec.needs_lookahead)


def _check_reproduction(where: str, spec: ReproductionSpec) -> None:
    for field in ("source", "quick"):
        if not _one_line(getattr(spec, field)):
            raise PluginError(f"{where}: {field} is {_shown(getattr(spec, field))}, expected one line of text.")
    for field in ("plan", "report"):
        if not callable(getattr(spec, field)):
            raise PluginError(f"{where}: {field} is {_shown(getattr(spec, field))}, expected a function.")
    _check_check(where, "measure", spec.measure)
    needs: Any = spec.needs
    if not isinstance(needs, tuple) or not all(isinstance(need, str) for need in needs):
        raise PluginError(f"{where}: needs is {_shown(needs)}, expected a tuple of names.")
    for need in needs:
        kind, _, name = need.partition(".")
        if kind not in _IN_MANIFESTS or not _NAME.fullmatch(name):
            kinds = ", ".join(_IN_MANIFESTS)
            raise PluginError(f"{where}: needs {need!r}, expected kind.name with a kind of {kinds}.")
    for field in ("seeds", "quick_seeds"):
        count = getattr(spec, field)
        if type(count) is not int or not 1 <= count <= MAX_SEEDS:
            raise PluginError(f"{where}: {field} is {_shown(count)}, expected a whole number from 1 to {MAX_SEEDS}.")
    recorded: Any = spec.recorded
    if recorded is not None and not (isinstance(recorded, tuple) and all(isinstance(name, str) for name in recorded)):
        raise PluginError(f"{where}: recorded is {_shown(recorded)}, expected a tuple of metrics' names, or None.")
    _check_config(where, spec.options, _RESERVED_OPTIONS, "options")
    _check_options(where, spec.options)


def _check_options(where: str, options: type[PluginConfig]) -> None:
    flags: set[str] = set()
    for name, field in options.model_fields.items():
        place = f"{where}: {options.__name__}.{name}"
        if field.alias is not None:
            raise PluginError(f"{place} has an alias: give the field the name that the option has.")
        if field.is_required():
            raise PluginError(f"{place} has no default: a reproduction is complete without options.")
        if not field.description:
            raise PluginError(f"{place} has no description, which is the option's help text.")
        option = option_of(name, field.annotation)
        if option is None:
            raise PluginError(
                f"{place} is of a type that no option can carry: use str, int, float, bool, a Literal of texts or a "
                "tuple such as tuple[str, ...], or one of them or None."
            )
        if taken := sorted(flags.intersection(option.flags)):
            raise PluginError(f"{place}: the option {taken[0]} is another field's. Rename one of them.")
        flags.update(option.flags)


def _check_name(where: str, name: object) -> None:
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise PluginError(f"{where}: a name is lower case, digits and underscores, starting with a letter.")


def _check_config(where: str, config: object, reserved: set[str], field: str = "config") -> None:
    if not (isinstance(config, type) and issubclass(config, PluginConfig)):
        raise PluginError(f"{where}: {field} is {_shown(config)}, expected a subclass of PluginConfig.")
    for option, expected in (("extra", "forbid"), ("frozen", True)):
        if config.model_config.get(option) != expected:
            raise PluginError(f"{where}: {config.__name__} must keep {option}={expected!r} in its model_config.")
    names = {described.alias or name for name, described in config.model_fields.items()}
    if taken := sorted(names & reserved):
        raise PluginError(f"{where}: {config.__name__} has a field {taken[0]!r}, which is reserved. Rename it.")


def _check_actions(where: str, field: str, actions: Any) -> None:
    known = get_args(ActionKind)
    if isinstance(actions, str) or not actions or not set(actions) <= set(known):
        raise PluginError(f"{where}: {field} is {_shown(actions)}, expected some of {', '.join(known)}.")


def _check_resumes(where: str, resumes: object) -> None:
    if resumes not in get_args(Resumes):
        raise PluginError(f"{where}: resumes is {_shown(resumes)}, expected {' or '.join(get_args(Resumes))}.")


def _check_evaluations(where: str, evaluations: Any) -> None:
    if not isinstance(evaluations, list | tuple):
        raise PluginError(f"{where}: evaluations is {_shown(evaluations)}, expected a tuple of EvaluationSpec.")
    names = []
    for each in evaluations:
        if not isinstance(each, EvaluationSpec):
            raise PluginError(f"{where}: evaluations holds {_shown(each)}, expected EvaluationSpec.")
        _check_name(f"{where}: evaluation {each.name!r}", each.name)
        _check_config(f"{where}: evaluation {each.name!r}", each.config, set())
        if not callable(each.evaluate):
            raise PluginError(
                f"{where}: evaluation {each.name!r}: evaluate is {_shown(each.evaluate)}, expected a function."
            )
        _check_check(f"{where}: evaluation {each.name!r}", "check", each.check)
        names.append(each.name)
    if repeated := sorted({name for name in names if names.count(name) > 1 or name in _RESERVED_EVALUATIONS}):
        raise PluginError(f"{where}: the evaluation name {repeated[0]!r} is taken. Choose another.")


def _check_check(where: str, field: str, check: object) -> None:
    if not (check is None or callable(check)):
        raise PluginError(f"{where}: {field} is {_shown(check)}, expected a function.")


def _check_view(where: str, view: object) -> None:
    if view is None:
        return
    if not isinstance(view, RunView):
        raise PluginError(f"{where}: view is {_shown(view)}, expected RunView.")
    if view.unit is not None and not _one_line(view.unit):
        raise PluginError(f"{where}: view.unit is {_shown(view.unit)}, expected a word such as steps.")
    for field in ("tables", "figures"):
        _check_check(where, f"view.{field}", getattr(view, field))
    if not isinstance(view.readings, list | tuple):
        raise PluginError(f"{where}: view.readings is {_shown(view.readings)}, expected a list of Reading.")
    for each in view.readings:
        if not isinstance(each, Reading):
            raise PluginError(f"{where}: view.readings holds {_shown(each)}, expected Reading.")
        if not (_one_line(each.metric) and _one_line(each.label)):
            raise PluginError(
                f"{where}: view.readings holds {_shown(each)}, expected a metric and a label of one line."
            )
        _check_check(f"{where}: reading {each.metric!r}", "show", each.show)
        if not isinstance(each.words, str) or (each.words and each.words.count("{}") != 1):
            raise PluginError(
                f"{where}: reading {each.metric!r}: words is {_shown(each.words)}, expected one {{}} in it."
            )
    metrics = [each.metric for each in view.readings]
    if repeated := sorted({metric for metric in metrics if metrics.count(metric) > 1}):
        raise PluginError(f"{where}: view.readings has the metric {repeated[0]!r} twice. Leave one out.")


def _one_line(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip()) and "\n" not in text


def _shown(value: object) -> str:
    return one_line(repr(value), 80)
