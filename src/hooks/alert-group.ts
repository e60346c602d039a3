/** A group of alerts, the shape that Prometheus' Alertmanager and Grafana share. */

import { list, number, text, texts } from './json-read.ts';
import type { Notice, Section } from './notice.ts';
import { facts, join, section, sentence } from './notice-parts.ts';

/** Beside what they have in common, and how many more there are. */
const MAX_ALERTS = 48;

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
  const truncated = number(payload, 'truncatedAlerts') ?? 0;
  const more = Math.max(0, alerts.length - MAX_ALERTS) + truncated;
  const common = new Map(alerts.length > 1 ? texts(payload, 'commonLabels') : []);
  const message = text(payload, 'message');
  return {
    subject: `[${isFiring ? `FIRING:${firing}${truncated > 0 ? '+' : ''}` : 'RESOLVED'}] ${name}`,
    title: `${isFiring ? 'Firing' : 'Resolved'}: ${name}`,
    tone: !isFiring ? 'good' : severity === 'warning' || severity === 'info' ? 'warning' : 'bad',
    sections: [
      // Grafana's own message lists the alerts once more, unless its template is another one.
      ...section(
        null,
        /^\*\*(?:Firing|Resolved)\*\*/.test(message ?? '') ? null : message,
        facts([...common]),
      ),
      ...alerts.slice(0, MAX_ALERTS).map((alert) => alertSection(alert, links, common)),
      ...section(null, more > 0 ? `… and ${more} more alerts.` : null),
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
  return join(' ', [name, ...others]) ?? 'Alert';
}

function threadOf(payload: unknown, service: string, alerts: readonly unknown[]): string | null {
  const group = text(payload, 'groupKey') ?? text(alerts[0], 'fingerprint');
  return group === null ? null : `${service}:${group}`;
}

function alertSection(alert: unknown, links: Links, common: ReadonlyMap<string, string>): Section {
  const isResolved = text(alert, 'status') === 'resolved';
  const summary = text(alert, 'annotations.summary') ?? text(alert, 'annotations.message');
  const name = text(alert, 'labels.alertname') ?? 'Alert';
  const shown = new Set(['summary', 'description', 'message']);
  return {
    title: `${isResolved ? 'Resolved' : 'Firing'}: ${summary ?? name}`,
    text: text(alert, 'annotations.description'),
    facts: facts([
      ...texts(alert, 'labels').filter(([key, value]) => common.get(key) !== value),
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
