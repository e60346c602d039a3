/** A group of alerts, the shape that Prometheus' Alertmanager and Grafana share. */

import { list, text, texts } from './json-read.ts';
import type { Notice, Section } from './notice.ts';
import { facts, sentence } from './notice-parts.ts';

const MAX_ALERTS = 25;

/** Where one alert leads beyond its own labels: fact name → key in the payload. */
type Links = readonly (readonly [name: string, key: string])[];

/** Null where the payload has no list of alerts. */
export function alertGroup(payload: unknown, service: string, links: Links): Notice | null {
  const alerts = list(payload, 'alerts');
  if (alerts.length === 0) return null;
  const isFiring = (text(payload, 'status') ?? 'firing') !== 'resolved';
  const firing = alerts.filter((alert) => text(alert, 'status') !== 'resolved').length;
  const name = nameOf(payload);
  const severity = text(payload, 'commonLabels.severity');
  return {
    subject: `[${isFiring ? `FIRING:${firing}` : 'RESOLVED'}] ${name}`,
    title: `${isFiring ? 'Firing' : 'Resolved'}: ${name}`,
    tone: !isFiring ? 'good' : severity === 'warning' || severity === 'info' ? 'warning' : 'bad',
    sections: [
      ...alerts.slice(0, MAX_ALERTS).map((alert) => alertSection(alert, links)),
      ...rest(alerts.length),
    ],
    link: null,
    thread: threadOf(payload, service, alerts),
    key: null,
  };
}

/** The alert's name and what else the group is of; the same while it fires and when it is resolved. */
function nameOf(payload: unknown): string {
  const group = texts(payload, 'groupLabels');
  const name =
    text(payload, 'groupLabels.alertname') ??
    text(payload, 'commonLabels.alertname') ??
    text(payload, 'alerts.0.labels.alertname');
  const others = group.filter(([key]) => key !== 'alertname').map(([, value]) => value);
  return [name ?? (others.length === 0 ? 'Alert' : null), ...others]
    .filter((part) => part !== null)
    .join(' ');
}

function threadOf(payload: unknown, service: string, alerts: readonly unknown[]): string | null {
  const group = text(payload, 'groupKey') ?? text(alerts[0], 'fingerprint');
  return group === null ? null : `${service}:${group}`;
}

function alertSection(alert: unknown, links: Links): Section {
  const isResolved = text(alert, 'status') === 'resolved';
  const summary = text(alert, 'annotations.summary') ?? text(alert, 'annotations.message');
  const name = text(alert, 'labels.alertname') ?? 'Alert';
  const shown = new Set(['summary', 'description', 'message']);
  return {
    title: `${isResolved ? 'Resolved' : 'Firing'}: ${summary ?? name}`,
    text: text(alert, 'annotations.description'),
    facts: facts([
      ...texts(alert, 'labels').map(([key, value]) => [key, value] as const),
      ...texts(alert, 'annotations')
        .filter(([key]) => !shown.has(key) && !key.startsWith('__'))
        .map(([key, value]) => [sentence(key), value, value] as const),
      ['Value', resultsOf(alert)],
      ['Since', text(alert, 'startsAt')],
      ['Until', isResolved ? text(alert, 'endsAt') : null],
      ...links.map(([name, key]) => [name, text(alert, key), text(alert, key)] as const),
    ]),
  };
}

/** Grafana's query results by letter; Alertmanager has none. */
function resultsOf(alert: unknown): string | null {
  const values = texts(alert, 'values').map(([key, value]) => `${key} = ${value}`);
  return values.join(', ') || null;
}

function rest(count: number): readonly Section[] {
  if (count <= MAX_ALERTS) return [];
  return [{ title: null, text: `… and ${count - MAX_ALERTS} more alerts.`, facts: [] }];
}
