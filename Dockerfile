# Batch work: docs/releasing.md, "The container". TORCH=cpu, or cuda for NVIDIA cards (the same image otherwise).
FROM python:3.13-slim-bookworm
ARG TORCH=cpu
# What OpenCV's and SDL's wheels take from the system.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libgomp1 \
 && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN cd /src && python tools/set_up.py /opt/rvm-live --torch $TORCH --no-editable && rm -rf /src /root/.cache
RUN useradd --create-home --uid 1000 matting && mkdir /work /weights /cache && chmod 1777 /work /cache
ENV RVM_LIVE_CACHE=/cache PYTHONDONTWRITEBYTECODE=1
USER matting
WORKDIR /work
VOLUME ["/work", "/weights", "/cache"]
ENTRYPOINT ["/opt/rvm-live/bin/rvm-live"]
CMD ["batch", "--help"]
