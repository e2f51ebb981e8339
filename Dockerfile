# CPU:   docker build -t histobench .
# CUDA:  docker build -t histobench --build-arg BASE=nvidia/cuda:12.4.1-runtime-ubuntu22.04 --build-arg TORCH=https://download.pytorch.org/whl/cu124 .
# Use:   docker run --rm -v "$PWD:/work" histobench run --method oeem --dataset glas --data synthetic
ARG BASE=debian:bookworm-slim
FROM ${BASE}
ARG TORCH=https://download.pytorch.org/whl/cpu
ARG PYTHON=3.11

RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git python${PYTHON} python${PYTHON}-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python${PYTHON} -m venv /opt/bench
ENV PATH=/opt/bench/bin:$PATH PYTHONUNBUFFERED=1 BENCH_CACHE=/work/.bench-cache

COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt --index-url ${TORCH} torch torchvision \
    && pip install --no-cache-dir -c /src/constraints.txt /src \
    && rm -rf /src

WORKDIR /work
ENTRYPOINT ["bench"]
CMD ["--help"]
