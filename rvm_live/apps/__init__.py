"""The program's applications: settings in, a result out; they print nothing.

May import backgrounds, compositing, core, engines, finishing, media, microphones, network, pipeline, sinks, sources,
system, weights.

>>> import numpy as np
>>> from rvm_live.apps.calls import cut_out
>>> cut_out(np.zeros((144, 256, 3), np.uint8), engine="lite", device="cpu").shape
(144, 256, 4)
"""
