"""Four stages and the three queues between them; imports the rooms that the stages call, and no application.

::

    from rvm_live.pipeline import Pipeline

    Pipeline(source, engine, composer, [sink]).run()
"""

from __future__ import annotations

from rvm_live.pipeline.pipeline import Pipeline

__all__ = ["Pipeline"]
