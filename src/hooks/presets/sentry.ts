/** Sentry's integration webhooks: https://docs.sentry.io/organization/integrations/integration-platform/webhooks/ */

import { at, list, text } from '../json-read.ts';
import type { Notice, Preset } from '../notice.ts';
import { facts, firstLine, link, section, sentence } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

export const sentry: Preset = ({ payload }) => {
  const action = text(payload, 'action') ?? '';
  if (text(payload, 'data.issue.title') !== null) return issue(payload, action);
  if (text(payload, 'data.event.title') !== null) return eventAlert(payload);
  if (text(payload, 'data.metric_alert.id') !== null) return metricAlert(payload, action);
  return anyNotice(payload, `Sentry: ${action || 'event'}`);
};

/** The issue's actions that a reader waits for; assignments and archiving are left out. */
const ACTIONS = new Set([
  'created',
  'unresolved',
  'resolved',
  // An alert on the issue's activity.
  'triggered',
]);

/** For the subject; any other action is its own word. */
const WORDS: Readonly<Record<string, string>> = { created: 'New issue', triggered: 'Alert' };

const toneOf = (level: string | null): Notice['tone'] =>
  level === 'warning' ? 'warning' : level === 'info' || level === 'debug' ? 'neutral' : 'bad';

function issue(payload: unknown, action: string): Notice | null {
  if (!ACTIONS.has(action)) return null;
  const read = at(payload, 'data.issue');
  const title = firstLine(text(read, 'title') ?? 'Issue');
  const id = text(read, 'id');
  const level = text(read, 'level');
  const what = WORDS[action] ?? sentence(action);
  return {
    subject: `[${what}] ${title}`,
    title: `${what}: ${title}`,
    tone: action === 'resolved' ? 'good' : toneOf(level),
    sections: section(
      null,
      text(read, 'metadata.value'),
      facts([
        ['Rule', text(payload, 'data.triggered_rule')],
        ['Issue', text(read, 'shortId')],
        ['Project', text(read, 'project.name') ?? text(read, 'project.slug')],
        ['Where', text(read, 'culprit')],
        ['Level', level],
        ['Events', text(read, 'count')],
        ['Users', text(read, 'userCount')],
        ['First seen', text(read, 'firstSeen')],
        ['By', action === 'resolved' ? text(payload, 'actor.name') : null],
      ]),
    ),
    link: link('View the issue', text(read, 'web_url') ?? text(read, 'permalink')),
    thread: id === null ? null : `sentry:issue:${id}`,
    key: null,
  };
}

function eventAlert(payload: unknown): Notice {
  const event = at(payload, 'data.event');
  const title = firstLine(text(event, 'title') ?? 'Event');
  const rule = text(payload, 'data.triggered_rule');
  const id = text(event, 'issue_id');
  const eventId = text(event, 'event_id');
  return {
    subject: `[Alert] ${title}`,
    title: rule === null ? `Alert: ${title}` : `${rule}: ${title}`,
    tone: toneOf(text(event, 'level')),
    sections: [
      ...section(
        null,
        null,
        facts([
          ['Rule', rule],
          ['Where', text(event, 'culprit')],
          ['Level', text(event, 'level')],
          ['Environment', text(event, 'environment')],
          ['Release', text(event, 'release')],
          ['Time', text(event, 'datetime')],
        ]),
      ),
      ...section(
        'Tags',
        null,
        facts(list(event, 'tags').map((tag) => [text(tag, '0') ?? 'tag', text(tag, '1')] as const)),
      ),
    ],
    link: link('View the event', text(event, 'web_url')),
    thread: id === null ? null : `sentry:issue:${id}`,
    // One event may trigger several rules.
    key: eventId === null ? null : `${eventId}:${rule ?? ''}`,
  };
}

function metricAlert(payload: unknown, action: string): Notice {
  const alert = at(payload, 'data.metric_alert');
  const name = text(alert, 'alert_rule.name') ?? text(alert, 'title') ?? 'Metric alert';
  const state = sentence(action) || 'Alert';
  return {
    subject: `[${state}] ${name}`,
    title: `${state}: ${name}`,
    tone: action === 'resolved' ? 'good' : action === 'warning' ? 'warning' : 'bad',
    sections: section(
      null,
      text(payload, 'data.description_text'),
      facts([
        ['Measured', text(alert, 'alert_rule.aggregate')],
        ['Environment', text(alert, 'alert_rule.environment')],
        ['Since', text(alert, 'date_started')],
      ]),
    ),
    link: link('View the alert', text(payload, 'data.web_url')),
    thread: `sentry:alert:${text(alert, 'id') ?? ''}`,
    key: null,
  };
}
