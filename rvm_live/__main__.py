"""``python -m rvm_live``, and the ``rvm-live`` command."""

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of the process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while modules load there is nothing to end in good order
    from rvm_live.cli import main as run

    run()


if __name__ == "__main__":
    main()
