FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/magnet
ENV PATH=/opt/magnet/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The libraries change less often than the program, so they are a layer of their own.
COPY requirements.lock .
RUN pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml LICENSE ./
COPY domain domain
COPY commands commands
COPY projections projections
COPY adapters adapters
COPY api api
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
# For sources of type git.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates git && rm -rf /var/lib/apt/lists/*
RUN useradd --system --user-group --create-home --home-dir /var/lib/magnet magnet
COPY --from=build /opt/magnet /opt/magnet
ENV PATH=/opt/magnet/bin:$PATH MAGNET_HOME=/var/lib/magnet PYTHONUNBUFFERED=1
USER magnet
WORKDIR /var/lib/magnet
VOLUME /var/lib/magnet
EXPOSE 8080
ENTRYPOINT ["magnet"]
CMD ["serve"]
