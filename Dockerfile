# A server for models that were trained with Headstart, on a CPU.
#
#   docker build --tag headstart .
#   docker run --publish 127.0.0.1:8000:8000 --volume ./runs:/models:ro headstart
#
# Each run or bundle in /models is served under the name of its folder. See docs/serve.md.

FROM python:3.12-slim AS build
# PyTorch's own index has builds without the 4 GB of libraries for GPUs.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/headstart
RUN /opt/headstart/bin/pip install --no-cache-dir --index-url ${TORCH_INDEX} torch torchvision
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/headstart/bin/pip install --no-cache-dir ".[serve]"

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home headstart \
    && mkdir /models /cache \
    && chown headstart /cache
COPY --from=build /opt/headstart /opt/headstart
ENV PATH=/opt/headstart/bin:${PATH}
USER headstart
VOLUME /cache
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=5)"]
ENTRYPOINT ["headstart", "serve"]
CMD ["/models", "--host", "0.0.0.0", "--port", "8000", "--cache", "/cache"]
