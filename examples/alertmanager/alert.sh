#!/bin/sh
# Plays an alert as Alertmanager posts it with alertmanager.yml.
#
#   HOOKS_FILE=examples/alertmanager/hooks.json npm start
#   sh examples/alertmanager/alert.sh

curl --silent --show-error --fail-with-body "${POSTERN_URL:-http://localhost:8080}/v1/hooks/alerts" \
  --header "Authorization: Bearer ${ALERTMANAGER_SECRET:-replace-this-secret}" \
  --header 'Content-Type: application/json' \
  --data '{
    "version": "4",
    "groupKey": "{}:{alertname=\"DiskFull\", job=\"node\"}",
    "status": "firing",
    "receiver": "mail",
    "groupLabels": { "alertname": "DiskFull", "job": "node" },
    "commonLabels": { "alertname": "DiskFull", "job": "node", "severity": "critical" },
    "commonAnnotations": { "summary": "The disk of db-1 is 95 % full" },
    "externalURL": "http://alertmanager.example.com:9093",
    "alerts": [
      {
        "status": "firing",
        "labels": { "alertname": "DiskFull", "instance": "db-1:9100", "job": "node", "severity": "critical" },
        "annotations": { "summary": "The disk of db-1 is 95 % full" },
        "startsAt": "2026-11-26T08:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com:9090/graph",
        "fingerprint": "c2f8b1c0d4e5f607"
      }
    ]
  }'
