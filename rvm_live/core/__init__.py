"""Values and contracts that every room shares.

May import nothing of the program.

>>> from rvm_live.core.settings import EngineSettings
>>> EngineSettings(engine="lite", device="cpu").precision
'auto'
"""
