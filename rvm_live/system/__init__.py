"""The machine: processors, GPUs, threads, signals, folders, files that appear whole. Imports
:mod:`rvm_live.core` alone.

::

    from rvm_live.system import atomic_write

    atomic_write.write(Path("report.json"), b"{}")  # whole, or not at all
"""
