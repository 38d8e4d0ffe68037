"""``python -m rvm_live``: the same as the ``rvm-live`` command."""

from rvm_live.cli import main

if __name__ == "__main__":
    main()
