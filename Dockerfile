# Postern on Node: no build tools, no development dependencies, no sandbox. Runs as `node`, writes to /data alone.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json LICENSE ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
COPY bin bin
COPY src src
RUN rm -r src/sandbox && mkdir /data

FROM node:24-slim
ENV NODE_ENV=production OUTBOX=/data/outbox.db
WORKDIR /app
COPY --from=build /app /app
COPY --from=build --chown=node:node /data /data
USER node
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node itself is process 1, so that SIGTERM and SIGHUP reach it.
CMD ["node", "bin/postern.mjs"]
