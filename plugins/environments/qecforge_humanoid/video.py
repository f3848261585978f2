"""Episodes of a policy as animated GIFs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from qecforge.contracts import EvaluationContext, Policy
from qecforge.contracts.closing import closing
from qecforge.errors import MissingDependency, one_line
from qecforge.machine.extras import missing_dependency
from qecforge_humanoid.config import EpisodeVideoConfig
from qecforge_humanoid.environment import ContinuousControl
from qecforge_humanoid.making import GL_PACKAGES, is_mujoco, spec_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["film", "gl_backend"]

_GL = {
    "egl": "from mujoco.egl import GLContext; GLContext(16, 16).make_current()",
    "osmesa": "from mujoco.osmesa import GLContext; GLContext(16, 16).make_current()",
    "glfw": "from mujoco.glfw import GLContext; GLContext(16, 16).make_current()",
}
"""Ways to draw, the first two without a display, and a program that fails where there is no library for it."""

_FRAMES_PER_SECOND = 30


def film(env: ContinuousControl, policy: Policy, config: EpisodeVideoConfig, context: EvaluationContext) -> None:
    """Play episodes and file a GIF of each, `episode_0.gif`, and its return and length.

    Args:
        env: Of the run; another one of the same task is played.

    Raises:
        MissingDependency: Pillow or an OpenGL library is missing; names the package to install. The run resumes once it
            is there.
    """
    if find_spec("PIL") is None:
        raise missing_dependency("episode_video", "pillow", "control")
    mujoco = is_mujoco(spec_of(env.config.id))
    rendering: dict[str, Any] = {"render_mode": "rgb_array"}
    if mujoco:
        rendering |= {"width": config.width, "height": config.height}
    rng = np.random.default_rng(context.seed)
    played: list[dict[str, float]] = []
    with _drawing_by(gl_backend() if mujoco else None):
        stage = ContinuousControl(env.config, num_envs=1, seed=context.seed, rendering=rendering)
        with closing(stage, "environment humanoid"):
            if fitted := env.fitted_state():
                stage.load_fitted_state(fitted)
            observations, _ = stage.reset(seed=context.seed)
            for number in range(config.episodes):
                frames = [_picture(stage, config)]
                over = False
                while not over:
                    if context.cancelled():
                        return
                    actions = policy.act(observations, deterministic=config.deterministic, rng=rng)
                    observations, _, terminated, truncated, infos = stage.step(actions)
                    over = bool(terminated[0] | truncated[0])
                    length = int(infos["episode_length"][0])
                    if not over and length % config.every == 0:
                        frames.append(_picture(stage, config))
                context.artifact(f"episode_{number}.gif", _gif(frames, _pace(stage, config)))
                played.append({"return": float(infos["episode_return"][0]), "length": length, "frames": len(frames)})
                context.progress(number + 1, config.episodes)
    context.payload("episodes", {"episodes": played})


def gl_backend() -> str:
    """How MuJoCo can draw here: what MUJOCO_GL says, else the first of egl, osmesa and glfw that works.

    Each is tried in a process of its own: a library that fails may not be followed by another one in the same process.

    Raises:
        MissingDependency: none works.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower()
    if asked and asked not in _GL:
        raise MissingDependency(
            f"episode_video: MUJOCO_GL is {asked!r}, expected one of {', '.join(_GL)}: set it to one, or unset it"
        )
    names = [asked] if asked else list(_GL)
    for name in names:
        environment = {**os.environ, "MUJOCO_GL": name, "PYOPENGL_PLATFORM": "" if name == "glfw" else name}
        command = [sys.executable, "-W", "ignore", "-c", _GL[name]]
        with suppress(subprocess.SubprocessError):
            subprocess.run(command, capture_output=True, check=True, env=environment, timeout=120)  # noqa: S603
            return name
    raise MissingDependency(
        f"episode_video: MuJoCo cannot draw here (tried {', '.join(names)}): {GL_PACKAGES}; the same command goes on "
        "from here"
    )


@contextmanager
def _drawing_by(backend: str | None) -> Iterator[None]:
    """In the block, Gymnasium draws with this backend; a package of its own that drawing needs is named."""
    before = os.environ.get("MUJOCO_GL")
    if backend is not None:
        os.environ["MUJOCO_GL"] = backend
    try:
        yield
    except DependencyNotInstalled as error:
        raise MissingDependency(f"episode_video: {one_line(error, 200)}") from error
    finally:
        if before is None:
            os.environ.pop("MUJOCO_GL", None)
        else:
            os.environ["MUJOCO_GL"] = before


def _picture(stage: ContinuousControl, config: EpisodeVideoConfig) -> Image:
    """With a palette of its own, which is what a GIF keeps: a third of the memory."""
    from PIL import Image

    drawn: NDArray[np.uint8] = stage.render_member()
    picture = Image.fromarray(drawn)
    if picture.size != (config.width, config.height):
        picture = picture.resize((config.width, config.height))
    return picture.quantize(128, dither=Image.Dither.NONE)


def _pace(stage: ContinuousControl, config: EpisodeVideoConfig) -> int:
    """Milliseconds that a frame is shown: as in the simulation, rounded to GIF's hundredths of a second."""
    per_second = stage.frames_per_second or _FRAMES_PER_SECOND
    return max(20, 10 * round(100 * config.every / per_second))


def _gif(frames: list[Image], milliseconds: int) -> bytes:
    content = BytesIO()
    frames[0].save(
        content, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, optimize=False
    )
    return content.getvalue()
