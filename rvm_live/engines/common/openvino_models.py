"""Torch modules as OpenVINO's models."""

from __future__ import annotations

import warnings
from typing import Any

from rvm_live.system.telemetry_off import import_quietly

__all__ = ["converted", "keep_state"]


def keep_state(model: Any, count: int) -> None:
    """Turn the last ``count`` inputs and outputs into a state of the model's own."""
    passes = import_quietly("openvino.passes")
    pairs = list(zip(model.get_parameters()[-count:], model.get_results()[-count:], strict=True))
    for number, (before, after) in enumerate(pairs, 1):
        before.output(0).tensor.set_names({f"r{number}"})
        after.input_value(0).tensor.set_names({f"r{number}_next"})
    manager = passes.Manager()
    manager.register_pass(passes.MakeStateful(pairs))
    manager.run_passes(model)


def converted(module: Any, example: tuple[Any, ...]) -> Any:
    """A torch module as an OpenVINO model of fixed shapes."""
    import torch

    frontends = import_quietly("openvino.frontend")
    decoders = import_quietly("openvino.frontend.pytorch.ts_decoder")
    with torch.inference_mode(), warnings.catch_warnings():
        # Deprecated in favour of torch.export, which takes several times as long and warns, too.
        for kind in (DeprecationWarning, FutureWarning):  # which of them depends on the version of torch
            warnings.simplefilter("ignore", kind)
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    # The frontend itself rather than openvino.convert_model, which reports its use over the network.
    frontend = frontends.FrontEndManager().load_by_framework("pytorch")
    decoder = decoders.TorchScriptPythonDecoder(traced)  # must outlive the conversion, which does not hold it
    model = frontend.convert(frontend.load(decoder))
    model.reshape({index: list(tensor.shape) for index, tensor in enumerate(example)})
    return model
