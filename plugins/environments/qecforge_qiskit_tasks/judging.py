"""From completions of tasks to verdicts.

with TaskJudge(tasks, JudgeConfig(cells=2)) as judge:
    for judged in judge.judge(["circuits/bell"], [completion]):
        judged.verdict, judged.components["tests_passed"]
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from qecforge.errors import ConfigurationError, did_you_mean
from qecforge.sandbox import Limits, Outcome, Profile, Program, Sandbox, TestResult, Verdict
from qecforge_qiskit_tasks.cells import sandbox_config, sandbox_report
from qecforge_qiskit_tasks.completions import LARGEST, PromptKind, program_of
from qecforge_qiskit_tasks.tasks.task import Task
from qecforge_qiskit_tasks.transcripts import Transcript, Transcripts, asked_of, key_of

__all__ = ["COMPONENTS", "JudgeConfig", "JudgedCompletion", "TaskJudge"]

COMPONENTS = ("parses", "imports", "runs", "tests_passed", "constraints", "gates", "depth", "removed_api")
"""Numbers for the log, each 0..1 but for `gates` and `depth`, which are those of the reference's circuits over those of
the program's: 1 for as many, 2 for half as many, 0 where there is nothing to compare. `removed_api` is 1 where a name
that Qiskit no longer has is why it failed."""
BATCH = 32
"""Programs whose outcomes are filed together: what an interruption may cost."""
CONSTRAINTS = frozenset({"fits_target", "at_most", "fidelity_under_noise"})
"""Checks whose tests are constraints; so are tests named `test_constraint...`."""
NO_PARSE = re.compile(r"(line \d+: )?(SyntaxError|IndentationError|TabError)\b")
NO_IMPORT = re.compile(r"(line \d+: )?(ImportError|ModuleNotFoundError)\b")


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """How completions are judged.

    Attributes:
        prompt: Which prompt they answer.
        cells: Programs at once; None for the cores that may be used.
        profile: Of the sandbox; `landlock` only where the user chose it.
        seed: With the program, the seed of Python's and numpy's generators.
        in_process: Whether tasks that say `in_process` may be judged; their verdicts can be forged.
        limits: Limits of every program; None for the task's own.
        judge_limits: Of the tests.
        transcripts: File of what was run before, which is not run again; None for none.
        read_transcripts: False runs everything anew; it is filed all the same (`--no-cache`).
        compare: Whether `gates` and `depth` are wanted: the reference is run once for each task then.
    """

    prompt: PromptKind = "standard"
    cells: int | None = None
    profile: str = Profile.BUBBLEWRAP
    seed: int = 0
    in_process: bool = True
    limits: Limits | None = None
    judge_limits: Limits = field(default_factory=lambda: Limits(cpu_seconds=60.0))
    transcripts: str | Path | None = None
    read_transcripts: bool = True
    compare: bool = True

    def __post_init__(self) -> None:
        if self.prompt not in ("standard", "hard"):
            raise ConfigurationError(f"prompt: got {self.prompt!r}, expected standard or hard")
        if self.profile not in list(Profile):
            raise ConfigurationError(f"profile: got {self.profile!r}, expected {' or '.join(Profile)}")


@dataclass(frozen=True, kw_only=True)
class JudgedCompletion:
    """What became of a completion.

    Attributes:
        program: The whole program that it was read as; empty where there is none in it.
        verdict: Never `infrastructure`: that is raised.
        judged: Whether the verdict is of a judge in another process; where not, it can be forged.
        tests: One each, in order; empty where the program could not be loaded.
        components: Those of `COMPONENTS`.
        key: Of its transcript; empty where nothing was run.
        cached: Whether a transcript said so, and nothing was run.
        notes: Sums over the circuits that the program gave to the tests, such as `gates`.
    """

    task_id: str
    program: str
    verdict: Verdict
    detail: str
    judged: bool
    tests: Sequence[TestResult] = ()
    components: Mapping[str, float] = field(default_factory=dict)
    key: str = ""
    cached: bool = False
    output: str = ""
    cpu_seconds: float = 0.0
    judge_cpu_seconds: float = 0.0
    memory: int = 0
    notes: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every test passed; of a task judged `in_process` it may be forged."""
        return self.verdict is Verdict.PASSED

    @property
    def fraction(self) -> float:
        """Which part of the tests passed."""
        return sum(each.status == "passed" for each in self.tests) / len(self.tests) if self.tests else 0.0


@dataclass(frozen=True)
class _Ran:
    key: str
    outcome: Outcome
    cached: bool


class TaskJudge:
    """Judges completions of tasks in a sandbox; `with`, or `close`, ends its processes.

    Raises `ConfigurationError` where a task has a prompt of another kind only.
    """

    def __init__(self, tasks: Sequence[Task], config: JudgeConfig | None = None) -> None:
        self.config = config or JudgeConfig()
        self.tasks: Mapping[str, Task] = {task.id: task for task in tasks}
        if len(self.tasks) != len(tasks):
            raise ConfigurationError("tasks: an id is there twice; rename one of the two")
        self._sandbox: Sandbox | None = None
        self._known_sums: dict[str, Mapping[str, float]] = {}
        where = self.config.transcripts
        self._transcripts = None if where is None else Transcripts(where)
        if not self.config.in_process:
            for task in tasks:
                if task.in_process:
                    raise ConfigurationError(
                        f"task {task.id} is tested in the program's own process, where a verdict can be forged; leave "
                        "it out, or allow it with `in_process`"
                    )

    def __enter__(self) -> TaskJudge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes. May be called twice."""
        if self._sandbox is not None:
            self._sandbox.close()

    @property
    def sandbox(self) -> Sandbox:
        """Made when first asked for; its cells start with the first program."""
        if self._sandbox is None:
            self._sandbox = Sandbox(sandbox_config(self.config.cells, self.config.profile))
        return self._sandbox

    @property
    def ran(self) -> bool:
        """Whether anything was run, or all was known."""
        return self._sandbox is not None

    def circumstances(self) -> Mapping[str, Any]:
        """See `qecforge.contracts.BaseEnvironment.circumstances`."""
        return {"sandbox": sandbox_report(self.config.profile)}

    def program_of(self, task_id: str, completion: str) -> str:
        """The whole program that a completion is read as. Raises `ConfigurationError` for an unknown task."""
        return program_of(self._task(task_id), completion, self.config.prompt)

    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> list[JudgedCompletion]:
        """Judge completions, as many at once as there are cells.

        Raises:
            ConfigurationError: as many ids as completions were expected, or an id is unknown.
            SandboxUnavailable: programs cannot be isolated here.
            InfrastructureError: the sandbox is out of order.
        """
        if len(task_ids) != len(completions):
            raise ConfigurationError(
                f"got {len(task_ids)} task ids and {len(completions)} completions, expected one completion for each id"
            )
        return self.judge_programs(
            task_ids, [self.program_of(*pair) for pair in zip(task_ids, completions, strict=True)]
        )

    def judge_programs(self, task_ids: Sequence[str], sources: Sequence[str]) -> list[JudgedCompletion]:
        """As `judge`, of whole programs, as they are."""
        if len(task_ids) != len(sources):
            raise ConfigurationError(
                f"got {len(task_ids)} task ids and {len(sources)} programs, expected one program for each id"
            )
        tasks = [self._task(each) for each in task_ids]
        programs = [self._program(*pair) for pair in zip(tasks, sources, strict=True)]
        ran = self._run(tasks, programs)
        sums = self._sums([task for task, each in zip(tasks, ran, strict=True) if each.outcome.notes])
        return [
            _judged(task, program, each, sums.get(task.id, {}))
            for task, program, each in zip(tasks, programs, ran, strict=True)
        ]

    def _run(self, tasks: Sequence[Task], programs: Sequence[Program]) -> list[_Ran]:
        """Each program once, and none that a transcript knows."""
        asked = [asked_of(each, task.id, str(self.config.profile)) for task, each in zip(tasks, programs, strict=True)]
        keys = [_key(each, program) for each, program in zip(asked, programs, strict=True)]
        known = (
            self._transcripts.get([*filter(None, keys)]) if self._transcripts and self.config.read_transcripts else {}
        )
        waiting: dict[str, int] = {}
        for i, key in enumerate(keys):
            if key not in known:
                waiting.setdefault(key or f"#{i}", i)
        fresh: dict[str, Outcome] = {}
        for some in _chunks(waiting, BATCH if self._transcripts else len(waiting)):
            fresh |= zip(some, self.sandbox.run([programs[waiting[each]] for each in some]), strict=True)
            if self._transcripts:
                run = [(each, waiting[each]) for each in some if keys[waiting[each]]]
                self._transcripts.add([Transcript(key, tasks[i].id, asked[i], fresh[key]) for key, i in run])
        return [
            _Ran(key, known[key], True) if key in known else _Ran(key, fresh[key or f"#{i}"], False)
            for i, key in enumerate(keys)
        ]

    def _sums(self, tasks: Sequence[Task]) -> Mapping[str, Mapping[str, float]]:
        """What the circuits of each task's reference sum up to, asked once."""
        wanted = list({task.id: task for task in tasks if task.id not in self._known_sums}.values())
        if not self.config.compare or not wanted:
            return self._known_sums
        # As completions are read, so that a completion that is the reference is one program with it.
        programs = [self._program(task, task.reference.rstrip("\n")) for task in wanted]
        for task, each in zip(wanted, self._run(wanted, programs), strict=True):
            self._known_sums[task.id] = each.outcome.notes if each.outcome.passed else {}
        return self._known_sums

    def _program(self, task: Task, source: str) -> Program:
        return Program(
            source,
            tests=task.tests,
            limits=self.config.limits or task.own_limits,
            judge_limits=self.config.judge_limits,
            seed=self.config.seed,
            in_process=task.in_process,
        )

    def _task(self, task_id: str) -> Task:
        if task_id not in self.tasks:
            hint = did_you_mean(str(task_id), self.tasks) or f" There are {len(self.tasks)}."
            raise ConfigurationError(f"there is no task {str(task_id)[:60]!r}.{hint}")
        return self.tasks[task_id]


def _chunks(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = list(keys)
    for start in range(0, len(rest), max(1, size)):
        yield rest[start : start + size]


def _key(asked: Mapping[str, Any], program: Program) -> str:
    """Of the transcript; empty where the program is none, and is not kept."""
    source = program.source
    try:
        known = bool(source.strip()) and len(source) <= LARGEST and bool(source.encode())
    except UnicodeEncodeError:
        known = False
    return key_of(asked) if known else ""


def _judged(task: Task, program: Program, ran: _Ran, sums: Mapping[str, float]) -> JudgedCompletion:
    outcome = ran.outcome
    return JudgedCompletion(
        task_id=task.id,
        program=program.source if len(program.source) <= LARGEST else "",
        verdict=outcome.verdict,
        detail=outcome.detail,
        judged=outcome.judged,
        tests=outcome.tests,
        components=components_of(task, outcome, sums),
        key=ran.key,
        cached=ran.cached,
        output=outcome.output,
        cpu_seconds=outcome.cpu_seconds,
        judge_cpu_seconds=outcome.judge_cpu_seconds,
        memory=outcome.memory,
        notes=outcome.notes,
    )


def components_of(task: Task, outcome: Outcome, sums: Mapping[str, float]) -> dict[str, float]:
    """Numbers for the log; the program has a say in those about its own text. `sums` are the reference's notes."""
    from qecforge_qiskit_tasks.evaluation.removed_api import blamed_names

    ended = outcome.verdict in (Verdict.INVALID,)
    no_parse = ended or (not outcome.tests and NO_PARSE.match(outcome.detail) is not None)
    no_import = no_parse or (not outcome.tests and NO_IMPORT.match(outcome.detail) is not None)
    passed = {each.name for each in outcome.tests if each.status == "passed"}
    constraints = constraints_of(task.tests)
    return {
        "parses": float(not no_parse),
        "imports": float(not no_import),
        "runs": float(bool(outcome.tests)),
        "tests_passed": outcome.fraction,
        "constraints": len(constraints & passed) / len(constraints) if constraints else float(bool(outcome.tests)),
        **{name: _compared(outcome.notes, sums, name) for name in ("gates", "depth")},
        "removed_api": float(any(map(blamed_names, [outcome.detail, *(each.detail for each in outcome.tests)]))),
    }


def _compared(ours: Mapping[str, float], reference: Mapping[str, float], name: str) -> float:
    """How many times fewer the program has than the reference, over as many circuits; 0 where that says nothing."""
    same = ours.get("circuits", 0.0) == reference.get("circuits", 0.0) > 0
    if not same:
        return 0.0
    return reference[name] / ours[name] if ours[name] else float(reference[name] == 0)


@lru_cache(maxsize=4096)
def constraints_of(tests: str) -> frozenset[str]:
    """Names of the tests that are constraints: named so, or with a check that is one. `tests` are trusted."""
    found: set[str] = set()
    if not any(name in tests for name in (*CONSTRAINTS, "test_constraint")):
        return frozenset()
    for node in ast.parse(tests).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            used |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            if used & CONSTRAINTS or node.name.startswith("test_constraint"):
                found.add(node.name)
    return frozenset(found)
