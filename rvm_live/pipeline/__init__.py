"""Four stages and the three queues between them.

May import backgrounds, compositing, core, engines, finishing, media, microphones, network, sinks, sources, system,
weights.

>>> from rvm_live.pipeline import Pipeline
>>> Pipeline(source, engine, composer, [sink]).run()  # doctest: +SKIP
"""

from __future__ import annotations

from rvm_live.pipeline.pipeline import Pipeline

__all__ = ["Pipeline"]
