# One Makefile for people and for CI. `make run` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TESTS  := $(VENV)/.ready-for-tests
ARGS   ?=
# Tests run in WORKERS processes; WORKERS=0: in one process, in the order of their names. The quick tests spend a third
# of their time waiting for programs, windows and servers, so three processes share two cores. Not --dist loadfile: when
# a process ends unexpectedly, the others might wait for ever (xdist 3.8).
test: WORKERS ?= 3
test-all: WORKERS ?= 2
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --max-worker-restart 3
# torch's build: auto (depends on whether there is an NVIDIA driver), cpu, cuda, or default (what pip installs).
TORCH  ?= auto
# Which Pythons the smoke test uses: all (that are found), here (only this one), or paths.
PYTHONS ?= all

.PHONY: run test test-all smoke dist coverage check fuzz bench assets lite opencv-cuda display clean help

help:
	@echo "make run    set up and run rvm-live (ARGS='--source demo ...' passes options on; TORCH=cpu|cuda|default chooses"
	@echo "            torch's build)"
	@echo "make test   set up and run the quick tests (ARGS='-k queue' selects; WORKERS=2 if memory is short: the default is"
	@echo "            3 processes of 2 GB each)"
	@echo "make test-all   the slow tests, too (WORKERS=4: in four processes; the default is 2), and the smoke test"
	@echo "            with every Python found (PYTHONS=here: only with this one)"
	@echo "make smoke  install the built wheel, without constraints, in its own environment; try demo, file, batch, recording"
	@echo "make dist   build the sdist and the wheel, check them, and run the smoke test (docs/releasing.md)"
	@echo "make check  ruff, mypy, and a check of every figure on the pages against the committed results"
	@echo "make coverage   run the tests and count the branches that they take"
	@echo "make fuzz   run each fuzz target for a minute (ARGS='--seconds 600' for longer)"
	@echo "make bench  run every benchmark (or one: $(BIN)/python -m benchmarks NAME)"
	@echo "make assets draw the built-in backgrounds again"
	@echo "make lite   train the embedded network again (training/README.md)"
	@echo "make opencv-cuda   build an OpenCV with CUDA for --compositor opencv-cuda (docs/opencv-cuda.md)"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) tools/set_up.py $(VENV) --torch $(TORCH)
	@touch $@

$(TESTS): $(READY)
	@$(PYTHON) tools/set_up.py $(VENV) --torch $(TORCH) --extras dev
	@touch $@

run: $(READY)
	$(BIN)/rvm-live $(ARGS)

test: $(TESTS) display
	$(PYTEST) -m 'not slow and not stress' $(ARGS)

test-all: $(TESTS) display
	$(PYTEST) -m 'not stress' $(ARGS)
	$(BIN)/python -m tools.smoke --pythons $(PYTHONS)

dist: $(TESTS)
	$(BIN)/python -m tools.dist $(ARGS)

smoke: $(TESTS)
	$(BIN)/python -m tools.smoke --pythons here

# Reports the branches of the pipeline, sources, engines and sinks that the tests take.
coverage: $(TESTS) display
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest -m 'not stress' $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=cover \
	  --include='rvm_live/pipeline/*,rvm_live/core/queues.py,rvm_live/sources/*,rvm_live/engines/*,rvm_live/sinks/*'

check: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m benchmarks.figures

# Linux on x86-64 only: atheris has wheels for nothing else.
fuzz: $(TESTS)
	for target in weights picture video background settings; do \
	  $(BIN)/python -m tools.fuzz $$target $(ARGS) || exit 1; \
	done

bench: $(TESTS)
	$(BIN)/python -m benchmarks all

assets: $(TESTS)
	$(BIN)/python assets/make_backgrounds.py

# Trains the weights of the engine lite; training/README.md explains CLIPS, PEOPLE, LIBRARIES, WALLPAPERS and WEIGHTS.
CACHE ?= $(HOME)/.cache/rvm-live/training
MINUTES ?= 58
lite: $(TESTS)
	$(BIN)/python -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_x86_64 \
	  -d $(CACHE) mediapipe==0.10.21
	$(BIN)/python -m training.cache --data $(CLIPS) --people $(PEOPLE) --weights $(WEIGHTS) \
	  --wheel $(CACHE)/mediapipe-0.10.21-*.whl --cache $(CACHE)
	$(BIN)/python -m training.backgrounds --data $(CLIPS) --more $(WALLPAPERS) --painted 900 --cache $(CACHE)
	$(BIN)/python -m training.things --libraries $(LIBRARIES) --cache $(CACHE)
	$(BIN)/python -m training.train --wheel $(CACHE)/mediapipe-0.10.21-*.whl --minutes $(MINUTES) --seed 1 --cache $(CACHE)
	$(BIN)/python -m training.train --again --minutes $$((($(MINUTES) + 4) / 5)) --rate 6e-4 --seed 2 --cache $(CACHE)
	$(BIN)/python -m training.export --cache $(CACHE)
	$(BIN)/python -m training.curve

# pip's OpenCV has no CUDA. This takes about an hour on two cores and makes a wheel; it installs nothing.
opencv-cuda: $(TESTS)
	$(BIN)/python -m tools.build_opencv_cuda $(ARGS)

# The window tests need a virtual screen and a program that presses keys, the microphone tests a sound server, the virtual
# camera tests PipeWire, the page tests a browser. Install them where that needs no password and removes no package;
# elsewhere the tests say what is missing.
display:
	@if [ "$$(uname)" = Linux ] && ! { command -v Xvfb && command -v xdotool && command -v pulseaudio && command -v openbox && \
	    command -v pipewire && command -v wireplumber && command -v gst-launch-1.0 && command -v chromium && \
	    test -e /usr/libexec/xdg-desktop-portal; } >/dev/null 2>&1; then \
	  if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq; export DEBIAN_FRONTEND=noninteractive; \
	    apt-get install -y -qq xvfb xdotool >/dev/null; \
	    apt-get install -y -qq --no-install-recommends --no-remove openbox desktop-file-utils >/dev/null || true; \
	    apt-get install -y -qq --no-install-recommends --no-remove pulseaudio libasound2-plugins >/dev/null || true; \
	    apt-get install -y -qq --no-install-recommends --no-remove dbus dbus-bin pipewire pipewire-bin wireplumber \
	      gstreamer1.0-pipewire gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	      xdg-desktop-portal python3-dbus python3-gi >/dev/null || true; \
	    apt-get install -y -qq --no-install-recommends --no-remove chromium fonts-noto-cjk >/dev/null || true; \
	  else \
	    echo "window tests need Xvfb and xdotool: sudo apt-get install xvfb xdotool (or your system's like)"; \
	    echo "tests of the virtual camera and of the page need PipeWire with WirePlumber, and Chromium"; \
	    echo "microphone tests need a sound server: sudo apt-get install pulseaudio libasound2-plugins"; \
	  fi; \
	fi

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
