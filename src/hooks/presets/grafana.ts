/** Grafana's webhook contact point: https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/ */

import { alertGroup } from '../alert-group.ts';
import { text } from '../json-read.ts';
import type { Preset } from '../notice.ts';
import { link } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

export const grafana: Preset = ({ payload }) => {
  const notice = alertGroup(payload, 'grafana', [
    ['Panel', 'panelURL'],
    ['Dashboard', 'dashboardURL'],
    ['Rule', 'generatorURL'],
    ['Silence', 'silenceURL'],
  ]);
  if (notice === null) return anyNotice(payload, text(payload, 'title') ?? 'Grafana event');
  const panel = text(payload, 'alerts.0.panelURL') ?? text(payload, 'alerts.0.dashboardURL');
  return { ...notice, link: link('Open Grafana', panel ?? text(payload, 'externalURL')) };
};
