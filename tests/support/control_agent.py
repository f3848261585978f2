"""An agent for any continuous environment, as a plugin: `cross_entropy` of `toy_continuous`, which plays in an
environment of its own after each `advance`."""

import dataclasses

from toy_continuous import CROSS_ENTROPY, CrossEntropy

from qecforge.hookspecs import hookimpl


class TestedCrossEntropy(CrossEntropy):
    def train(self, env, context, **given):
        test, advance = context.make_environment("tests", 2), context.advance

        def tested(*args):
            goes_on = advance(*args)
            test.reset(seed=1)
            return goes_on

        context.advance = tested
        return super().train(env, context, **given)


@hookimpl
def qecforge_agents():
    return [dataclasses.replace(CROSS_ENTROPY, make=TestedCrossEntropy, check=None, evaluations=())]
