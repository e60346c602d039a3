/** Statuspage's webhook notifications: https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/ */

import { at, list, text } from '../json-read.ts';
import type { Notice, Preset, Section } from '../notice.ts';
import { facts, join, link, section, sentence } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

const MAX_UPDATES = 10;

export const statuspage: Preset = ({ payload }) => {
  if (text(payload, 'incident.name') !== null) return incident(payload);
  if (text(payload, 'component_update.new_status') !== null) return component(payload);
  return anyNotice(payload, 'Statuspage event');
};

const DONE = new Set(['resolved', 'completed', 'postmortem']);

/** By an incident's impact and by a component's status. */
const TONES: Readonly<Record<string, Notice['tone']>> = {
  none: 'neutral',
  maintenance: 'neutral',
  minor: 'warning',
  major: 'bad',
  critical: 'bad',
  operational: 'good',
  under_maintenance: 'neutral',
  degraded_performance: 'warning',
  partial_outage: 'bad',
  major_outage: 'bad',
};

const toneOf = (state: string): Notice['tone'] | undefined =>
  Object.hasOwn(TONES, state) ? TONES[state] : undefined;

function incident(payload: unknown): Notice {
  const read = at(payload, 'incident');
  const name = text(read, 'name') ?? 'Incident';
  const id = text(read, 'id');
  // Others that speak this shape write them in capitals.
  const status = (text(read, 'status') ?? 'updated').toLowerCase();
  const impact = (text(read, 'impact') ?? 'none').toLowerCase();
  const updates = list(read, 'incident_updates');
  const updated = text(read, 'updated_at');
  return {
    subject: `[${sentence(status)}] ${name}`,
    title: `${name}: ${sentence(status).toLowerCase()}`,
    tone: DONE.has(status) ? 'good' : (toneOf(impact) ?? 'warning'),
    sections: [
      ...section(
        null,
        text(updates[0], 'body'),
        facts([
          ['Impact', impact],
          ['Page', text(payload, 'page.status_description')],
          ['Since', text(read, 'created_at')],
          ['Resolved', text(read, 'resolved_at')],
        ]),
      ),
      ...updates.slice(1, MAX_UPDATES).flatMap(earlier),
    ],
    link: link('View the incident', text(read, 'shortlink')),
    thread: id === null ? null : `statuspage:${id}`,
    key: id === null || updated === null ? null : `${id}:${updated}`,
  };
}

function earlier(update: unknown): readonly Section[] {
  const status = sentence((text(update, 'status') ?? 'update').toLowerCase());
  return section(join(', ', [status, text(update, 'created_at')]), text(update, 'body'));
}

function component(payload: unknown): Notice {
  const name = text(payload, 'component.name') ?? 'Component';
  const id = text(payload, 'component.id') ?? text(payload, 'component_update.component_id');
  const status = text(payload, 'component_update.new_status') ?? '';
  const before = text(payload, 'component_update.old_status');
  return {
    subject: `[${sentence(status)}] ${name}`,
    title: `${name}: ${sentence(status).toLowerCase()}`,
    tone: toneOf(status) ?? 'neutral',
    sections: section(
      null,
      null,
      facts([
        ['Component', name],
        ['Status', sentence(status)],
        ['Before', before === null ? null : sentence(before)],
        ['Page', text(payload, 'page.status_description')],
        ['Time', text(payload, 'component_update.created_at')],
      ]),
    ),
    link: null,
    thread: id === null ? null : `statuspage:component:${id}`,
    key: text(payload, 'component_update.id'),
  };
}
