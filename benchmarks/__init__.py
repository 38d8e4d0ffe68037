"""Benchmarks: ``python -m benchmarks NAME``. Comparisons are ratios inside one run; machines differ, ratios less so."""

import os

os.environ["RVM_LIVE_NO_CONFIG"] = "1"  # what whoever measures has chosen for daily use is no part of it
