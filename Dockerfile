# One image for every part: `reservation api` (the default), `worker`, `sweeper`.
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
RUN python -m venv --without-pip /opt/venv
WORKDIR /src
# Dependencies first, each by its hash, from the locks alone: a change of the sources does not install them again.
COPY requirements/image.txt requirements/tracing.txt requirements/build.txt ./
# on: with what traces need. Not in every image: redis-py imports it where it is installed.
ARG TRACING=off
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes \
        -r "$([ "$TRACING" = on ] && echo tracing || echo image).txt" \
    && python -m pip install --no-cache-dir --require-hashes -r build.txt
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps /dist/*.whl

FROM python:${PYTHON_VERSION}-slim-bookworm
# Nothing is installed in a container that runs, so nothing that installs is left in it.
COPY docker/strip.py /tmp/strip.py
RUN python /tmp/strip.py && rm /tmp/strip.py \
    && groupadd --gid 10001 reservation \
    && useradd --uid 10001 --gid reservation --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin reservation
COPY --from=build /opt/venv /opt/venv
# In production it serves nobody until it is set how it knows them; compose makes it a development service.
ENV PATH=/opt/venv/bin:$PATH \
    HOST=0.0.0.0 \
    LOG_FORMAT=json \
    HEARTBEAT_FILE=/tmp/heartbeat \
    ENVIRONMENT=production
# Empty: sources in the working directory would be imported instead of the installed package.
WORKDIR /app
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 3000
STOPSIGNAL SIGTERM
# For `api`; compose has another for the rest. http.client, because urllib would ask a proxy that is set.
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 3000), timeout=2); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["reservation"]
CMD ["api"]
