"""Listeners `tensorboard` and `mlflow`: runs as trackers of experiments show them."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.hookspecs import ListenerSpec, hookimpl
from qecforge.runs.listener import RunListener
from qecforge_tracking.config import MlflowConfig, TensorBoardConfig

__all__ = ["MlflowConfig", "TensorBoardConfig", "make_mlflow", "make_tensorboard", "qecforge_listeners"]


def make_tensorboard(config: TensorBoardConfig) -> RunListener:
    """The listener that `config` describes. Raises `MissingDependency` where TensorBoard is not installed."""
    from qecforge_tracking.tensorboard import TensorBoardListener

    return TensorBoardListener(config)


def make_mlflow(config: MlflowConfig) -> RunListener:
    """The listener that `config` describes. Raises `MissingDependency` where MLflow is not installed."""
    from qecforge_tracking.mlflow import MlflowListener

    return MlflowListener(config)


@hookimpl
def qecforge_listeners() -> Sequence[ListenerSpec]:
    """Both."""
    return [
        ListenerSpec(
            name="mlflow",
            summary="Runs of an MLflow experiment: settings, metrics, codes, error rates",
            config=MlflowConfig,
            make=make_mlflow,
        ),
        ListenerSpec(
            name="tensorboard",
            summary="Event files for TensorBoard: metrics, codes, error rates",
            config=TensorBoardConfig,
            make=make_tensorboard,
        ),
    ]
