"""Values and contracts that every room shares; imports nothing of the program.

::

    from rvm_live.core.settings import EngineSettings

    settings = EngineSettings(engine="lite", device="cpu")
"""
