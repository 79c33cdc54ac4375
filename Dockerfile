# The same steps as `make run`, in an image that runs as an ordinary user.
#
#     docker build -t tuner .
#     docker run --init -p 7860:7860 -v tuner:/data \
#         -v "$PWD/password.txt:/run/secrets/tuner:ro" -e TUNER_PASSWORD_FILE=/run/secrets/tuner tuner
#
# Log in as "tuner" with the password in that file, which user 1000 must be able to
# read. Without it the app says so and ends with exit code 2: it does not start open.
# Add `--gpus all` for the machine's GPUs. Models, runs and caches live on the volume;
# stopping the container stops its trainings too.

FROM python:3.11-slim

RUN useradd --uid 1000 --create-home tuner \
    && mkdir /data \
    && chown tuner:tuner /data

WORKDIR /app

# On x86_64 PyPI's torch is a CUDA build of several gigabytes. For a smaller image
# without GPUs, name an index that has CPU builds: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL
COPY requirements.txt constraints.txt ./
RUN python -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --constraint constraints.txt --requirement requirements.txt

COPY app.py LICENSE ./
COPY presets presets
COPY tuner tuner
RUN .venv/bin/python -m compileall -q app.py tuner

ENV HOST=0.0.0.0 \
    PORT=7860 \
    TUNER_HOME=/data \
    MODELSCOPE_CACHE=/data/cache/modelscope \
    HF_HOME=/data/cache/huggingface \
    PYTHONUNBUFFERED=1

USER 1000:1000

# A new named volume starts with what lies here; on any other the app makes the model at first need.
RUN .venv/bin/python -m tuner model

VOLUME /data
EXPOSE 7860

# The page answers; where a login is set, it answers with the login.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD [".venv/bin/python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=5); c.request('GET', '/'); raise SystemExit(c.getresponse().status != 200)"]

CMD [".venv/bin/python", "app.py"]
