"""What the listeners may be told."""

from __future__ import annotations

from pydantic import Field

from qecforge.contracts import PluginConfig

__all__ = ["MlflowConfig", "TensorBoardConfig"]


class TensorBoardConfig(PluginConfig):
    """What `tensorboard` may be told."""

    directory: str = Field("tensorboard", min_length=1, description="Folder of event files; each run has one in it.")


class MlflowConfig(PluginConfig):
    """What `mlflow` may be told."""

    tracking_uri: str | None = Field(
        None,
        min_length=1,
        description="Where MLflow keeps its runs; null: as its own settings say (MLFLOW_TRACKING_URI).",
    )
    experiment: str = Field("qecforge", min_length=1, description="Name of the experiment; made where there is none.")
