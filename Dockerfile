# docker build -t osscar-studio .
# docker run --read-only --tmpfs /tmp -v osscar:/data -p 127.0.0.1:8501:8501 osscar-studio \
#     --host 0.0.0.0 --trust-network
# Without --trust-network it starts only with a login: mount /app/.streamlit/secrets.toml.
FROM python:3.11.14-slim-bookworm AS build
COPY requirements.lock /
# Exactly what is locked, each file by its digest.
RUN python -m venv /venv \
 && /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes -r /requirements.lock

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin osscar \
 && install -d -o osscar -m 700 /data
COPY --from=build /venv /venv
WORKDIR /app
COPY LICENSE licences.md requirements.txt app.py ./
COPY .streamlit/config.toml .streamlit/
COPY pages pages
COPY assets assets
COPY osscar_core osscar_core
# Everything that is written goes to /data or /tmp: the rest may be read-only.
ENV PATH=/venv/bin:$PATH \
    HOME=/data \
    OSSCAR_HOME=/data \
    OSSCAR_LOG=json \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/healthz', timeout=5)"]
ENTRYPOINT ["python", "-m", "osscar_core.studio.serve"]
CMD ["--host", "0.0.0.0"]
