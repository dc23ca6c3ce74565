"""Golden samples: another processor's rounding passes, a model that does not do its work fails."""

from __future__ import annotations

import numpy as np
import pytest

from agent.evaluate.golden import as_tensor, pattern, worst_deviation, write_sample
from agent.infer.model import Model, open_model
from agent.infer.package import load_package, models_dir
from agent.infer.runtime import runtime

MODELS = ("face", "object", "plate", "plate-text")


@pytest.fixture(params=MODELS)
def package(request):
    return load_package(models_dir() / request.param)


def test_other_int8_kernels_give_what_the_samples_say(package):
    litert = runtime()
    if not hasattr(litert, "OpResolverType"):
        pytest.skip("this runtime has one set of kernels")
    interpreter = litert.Interpreter(
        model_path=str(package.file),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    model = Model(package, interpreter)
    worst = max(worst_deviation(model, sample) for sample in package.golden)
    assert worst <= package.golden_tolerance


def test_answer_to_another_picture_is_not_what_the_sample_says(package, tmp_path):
    model = open_model(package)

    class Confused:
        """Sees the second pattern, whatever it is shown."""

        package = model.package

        def run(self, tensor):
            return model.run(as_tensor(pattern(model.package, 2), model.package))

    sample = tmp_path / "1.npz"
    write_sample(model, pattern(package, 1), sample)
    assert worst_deviation(Confused(), sample) > package.golden_tolerance


def test_what_is_no_number_is_no_deviation_that_is_allowed(package, tmp_path):
    model = open_model(package)

    class Broken:
        package = model.package

        def run(self, tensor):
            return tuple(np.full_like(output, np.nan) for output in model.run(tensor))

    sample = tmp_path / "1.npz"
    write_sample(model, pattern(package, 1), sample)
    assert worst_deviation(Broken(), sample) == float("inf")
