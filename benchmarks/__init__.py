"""Benchmarks: ``python -m benchmarks NAME``. Each compares things within one run: ratios differ less between machines
than times do."""

import os

os.environ["RVM_LIVE_NO_CONFIG"] = "1"  # the user's own settings must not change what is measured
