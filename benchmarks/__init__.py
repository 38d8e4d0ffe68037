"""Benchmarks: ``python -m benchmarks NAME``. Comparisons are ratios inside one run; machines differ, ratios less so."""
