"""The network ``lite`` learns its user before one camera: settings in, a result out. Nothing is printed here.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.learn.learn import LearnSettings, learn
>>> from rvm_live.core.settings import SourceSettings
>>> result = learn(LearnSettings(SourceSettings("auto")))  # doctest: +SKIP
"""
